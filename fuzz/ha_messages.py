"""Fuzz target: what another node says, as one frame's kind and body: `python -m fuzz.ha_messages`.

An input is spliced into a frame as version 1 writes it, for a decoder in C tells a fuzzer nothing. Whatever comes of it: a message that can
be written again and comes back the same, or IntegrityError; and the machines of an active node and of a standby go on.
"""
import json
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports():
    from holdfast.errors import IntegrityError
    from holdfast.ha import event as saw
    from holdfast.ha.event import Channel
    from holdfast.ha.machine import Machine
    from holdfast.ha.message import Kind, Message, Peer, decode, encode
    from holdfast.ha.settings import Settings
    from holdfast.ids import Index, Millis, NodeId, Term
    from holdfast.storage import Fence

NOW, PEER = Millis(1_000), Peer(NodeId("b"), 1)


FRAMES = [(Kind[name], bytes.fromhex(body)) for name, body in json.loads(
    (Path(__file__).parent.parent / "tests" / "fixtures" / "frames" / "ha-v1.json").read_text()).items()]


def check(data: bytes) -> None:
    """One input: a frame's number, where in its body something is replaced and how much of it, and by what."""
    if len(data) < 4:
        return
    kind, body = FRAMES[data[0] % len(FRAMES)]
    at = int.from_bytes(data[1:3]) % (len(body) + 1)
    try:
        message = decode(kind, body[:at] + data[4:] + body[at + data[3]:])
    except IntegrityError:
        return
    assert decode(*encode(message)) == message
    for is_active in (True, False):
        hear(message, is_active=is_active)


def hear(message: Message, *, is_active: bool) -> None:
    machine = Machine(Settings(node=NodeId("a"), incarnation=1))
    machine.step(saw.Unsealed(applied=Index(1)), NOW)
    if is_active:
        fence = Fence(term=Term(1), holder=NodeId("a"))
        machine.step(saw.FenceHeld(fence=fence, index=Index(1), hold_until_boot_ms=Millis(2_000)), NOW)
    for channel in Channel:
        machine.step(saw.Received(peer=PEER, channel=channel, message=message), NOW)
    machine.tick(Millis(5_000))
    machine.take_effects()


def main() -> None:
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
