"""Fuzz target: request heads, body framing, paths, and the PROXY header. `python -m fuzz.http_head_body` with libFuzzer's options.

Whatever the bytes, and however they are cut: requests or a refusal, the same either way; nothing kept beyond the bounds; what h11 refuses
is not taken; and a request's path is decoded, printable, and without `..`.
"""
import sys

import atheris

with atheris.instrument_imports():
    import h11

    from holdfast.config.settings import TcpListener
    from holdfast.engine import Client, Request
    from holdfast.errors import RequestError
    from holdfast.http import proxy_protocol
    from holdfast.http.body import Refused
    from holdfast.http.framing import Framing, Message
    from holdfast.http.head import FLAGS, KEEP_ALIVE, OLD, Elsewhere
    from holdfast.http.request import NotServed, Requests
    from holdfast.ids import RequestId

LIMIT = 1_000
# The native parser shows the fuzzer no branches, so half of the inputs are put together from what matters to it.
PIECES = (
    b"GET /v1/a HTTP/1.1\r\nHost: v\r\n", b"POST /v1/a HTTP/1.1\r\nHost: v\r\n", b"PUT /v1/", b" HTTP/1.1\r\n", b" HTTP/1.0\r\n",
    b"Host: v\r\n", b"Content-Length: ", b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: ", b"Connection: close\r\n",
    b"Connection: keep-alive\r\n", b"Expect: 100-continue\r\n", b"X-Vault-Token: t\r\n", b"X-Vault-Wrap-TTL: ", b"X-A: ",
    b"chunked", b"identity",
    b"\r\n", b"\r\n\r\n", b"0\r\n\r\n", b"5\r\nhello\r\n", b"3\r\n", b"hello", b"\n", b"\r", b" ", b"\t", b":", b";", b",", b"=", b"%2f",
    b"%2e", b"%00", b"%", b"..", b".", b"/", b"//", b"?", b"&", b"0", b"1", b"5", b"9", b"a", b"f", b"+", b"-", b"\x00", b"\x7f", b"\xff",
    b"PROXY TCP4 10.1.1.1 20.2.2.2 1000 2000\r\n",
)
REQUESTS = Requests(TcpListener(), lambda: RequestId("id"))
CLIENT = Client(address="203.0.113.7")


def check(data: bytes) -> None:
    """One input: the first byte says how the rest is cut, and whether it stands for pieces."""
    how, data = (data[0], data[1:]) if data else (1, b"")
    size = how >> 1 or 1
    if how & 1:
        data = b"".join(PIECES[each % len(PIECES)] for each in data)
    read_proxy(data)
    taken, refused = cut(data, size)
    assert (taken, refused) == cut(data, len(data) or 1)
    for message in taken:
        assert len(message[1]) <= LIMIT
        request = made(message)
        if request is not None:
            assert request.path.isprintable()
            assert ".." not in request.path.split("/")
            assert not request.body or message[1]
    assert len(taken) <= count_by_h11(data), data


def cut(data: bytes, size: int) -> tuple[list[Message], bool]:
    """The requests, up to the one that ends the connection or is refused."""
    framing, taken = Framing(LIMIT), list[Message]()
    for at in range(0, len(data), size):
        framing.receive(data[at:at + size])
        try:
            while (message := framing.next()) is not None:
                end = message[0][0]
                assert end > 0
                # Where a head ends depends on what came before it in the same read.
                taken.append(((0, *message[0][1:]), message[1]))
                if message[0][FLAGS] & (KEEP_ALIVE | OLD) != KEEP_ALIVE:
                    return taken, False
        except Refused:
            return taken, True
    return taken, False


def made(message: Message) -> Request | None:
    try:
        return REQUESTS.make(*message, CLIENT)
    except (RequestError, Elsewhere, NotServed):
        return None


def read_proxy(data: bytes) -> None:
    try:
        found = proxy_protocol.read(data)
    except proxy_protocol.Malformed:
        return
    assert found is None or found.size <= len(data)


def count_by_h11(data: bytes) -> int:
    """Requests that h11 takes before it refuses or waits."""
    connection, count = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20), 0
    connection.receive_data(data)
    try:
        while isinstance(connection.next_event(), h11.Request):
            while not isinstance(event := connection.next_event(), h11.EndOfMessage):
                if not isinstance(event, h11.Data):
                    return count
            count += 1
            connection.send(h11.Response(status_code=200, headers=[(b"Content-Length", b"0")]))
            connection.send(h11.EndOfMessage())
            if connection.our_state is not h11.DONE:
                return count
            connection.start_next_cycle()
    except h11.RemoteProtocolError:
        return count
    return count


def main() -> None:
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
