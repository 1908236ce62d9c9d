"""Fuzz target: what comes over a link between nodes, cut anywhere: `python -m fuzz.cluster_frames`.

Whatever the bytes: frames within their bounds, or one reason for which the link ends; and streams that break a rule end it too.
"""
import sys
from contextlib import suppress

import atheris

with atheris.instrument_imports():
    from holdfast.cluster import Alpn, Hello, Streams
    from holdfast.cluster.frame import HEAD_BYTES, OWN_BOUNDS, FrameReader, Own
    from holdfast.cluster.hello import HelloRefused, decode_hello
    from holdfast.ids import NodeId

BOUNDS = {7: 300, 8: 1 << 20}
ALL = {**BOUNDS, **OWN_BOUNDS}


class Ended(Exception):
    """The link was closed, with a reason."""


class Link:
    """A link whose other side hears nothing."""

    alpn, remote, certificate, was_reset, pending_bytes = Alpn.RAFT, "", b"", False, 0
    peer = Hello(node=NodeId("a"), incarnation=1, cluster="")

    def send(self, kind: int, body: bytes) -> None:
        assert len(body) <= ALL[kind]

    async def drained(self) -> None:
        return

    def close(self, why: str = "") -> None:
        assert why
        raise Ended(why)


class Inner:
    def received(self, kind: int, body: bytes) -> None:
        assert len(body) <= BOUNDS[kind]

    def closed(self, why: str) -> None:
        return


def check(data: bytes) -> None:
    """One input: a byte that says how it is cut, then the bytes of a link after its hello."""
    if not data:
        return
    size, data = data[0] + 1, data[1:]
    reader, streams = FrameReader(ALL), Streams(Inner(), bounds=BOUNDS, opened=lambda incoming: None)
    streams.bind(Link())
    try:
        for at in range(0, len(data), size):
            for kind, body in reader.take(data[at:at + size]):
                assert len(body) <= ALL[kind]
                if kind == Own.HELLO:
                    check_hello(body)
                streams.received(kind, body)
    except Ended:
        return
    assert len(reader._buffer) < HEAD_BYTES + max(ALL.values())


def check_hello(body: bytes) -> None:
    with suppress(HelloRefused):
        assert decode_hello(body).node


def main() -> None:
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
