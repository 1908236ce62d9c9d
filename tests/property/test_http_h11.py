"""Our framing against h11's: what h11 refuses we refuse, and what we both take we read alike.

We refuse more, on purpose: a bare line feed as the end of a line, an empty line before the request, folded headers, both Content-Length and
Transfer-Encoding, a Content-Length that is repeated, and chunked bodies in HTTP/1.0. What is well formed by our own grammar, both take.
"""
from collections.abc import Iterator

import h11
from hypothesis import example, given, settings
from hypothesis import strategies as st

from holdfast.http.body import Refused
from holdfast.http.framing import Framing
from holdfast.http.head import FLAGS, KEEP_ALIVE, OLD, PATH, PLAIN

LIMIT = 1_000_000
Seen = list[tuple[bytes, bytes]]                     # path and body of each request


def ours(data: bytes, size: int) -> tuple[Seen, bool]:
    """The requests, and whether the bytes were refused in the end."""
    framing, seen = Framing(LIMIT), Seen()
    for at in range(0, len(data), size):
        framing.receive(data[at:at + size])
        try:
            while (message := framing.next()) is not None:
                head, body = message
                assert isinstance(body, bytes)
                path = "/v1/" + head[PATH] if head[FLAGS] & PLAIN else head[PATH]
                seen.append((path.encode(), body))
                if head[FLAGS] & (KEEP_ALIVE | OLD) != KEEP_ALIVE:
                    return seen, False                   # h11 goes on after no HTTP/1.0
        except Refused:
            return seen, True
    return seen, False


def theirs(data: bytes) -> tuple[Seen, bool]:
    """The same by h11, which is told of no end, as a connection goes on."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=LIMIT)
    connection.receive_data(data)
    seen = Seen()
    try:
        for request, body in _messages(connection):
            seen.append((bytes(request.target).partition(b"?")[0], body))
    except h11.RemoteProtocolError:
        return seen, True
    return seen, False


def _messages(connection: h11.Connection) -> Iterator[tuple[h11.Request, bytes]]:
    while True:
        request, body = connection.next_event(), b""
        if not isinstance(request, h11.Request):
            return
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            if not isinstance(event, h11.Data):
                return
            body += event.data
        yield request, body
        headers: list[tuple[bytes, bytes]] = [(b"Content-Length", b"0")]
        connection.send(h11.Response(status_code=200, headers=headers))
        connection.send(h11.EndOfMessage())
        if connection.our_state is not h11.DONE:
            return                                       # the client wanted no more
        connection.start_next_cycle()


names = st.text("abcXYZ019-_!#$%&'*+.^`|~", min_size=1, max_size=12).map(lambda name: "X-" + name)
values = st.text([chr(number) for number in [9, *range(32, 127), *range(160, 256)]], max_size=20).map(str.strip)
targets = st.text([chr(number) for number in range(33, 127) if chr(number) not in "?#"], max_size=20).map(lambda rest: "/v1/" + rest)
bodies = st.binary(max_size=200)


@st.composite
def requests(draw: st.DrawFn) -> tuple[bytes, bytes, bytes]:
    """A well-formed request: its bytes, path and body."""
    path, body = draw(targets), draw(bodies)
    method = draw(st.sampled_from(["GET", "POST", "PUT", "LIST", "PATCH", "DELETE", "BREW"]))
    headers = [("Host", "v"), *draw(st.lists(st.tuples(names, values), max_size=5))]
    if draw(st.booleans()):
        headers.append((draw(st.sampled_from(["Content-Length", "content-length"])), str(len(body))))
        sent = body
    else:
        headers.append(("Transfer-Encoding", draw(st.sampled_from(["chunked", "Chunked"]))))
        cuts = sorted(draw(st.lists(st.integers(1, max(1, len(body))), max_size=5)))
        pieces = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
        extension = draw(st.sampled_from([b"", b";a", b";a=b", b';a="b c"']))
        sent = b"".join(b"%x%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces if piece)
        sent += b"0\r\n" + draw(st.sampled_from([b"", b"X-Trailer: y\r\n", b"A: b\r\nC: d\r\n"])) + b"\r\n"
    query = draw(st.sampled_from(["", "?", "?a=b"]))
    lines = "".join(f"{name}:{draw(st.sampled_from(['', ' ', '  ']))}{value}\r\n" for name, value in draw(st.permutations(headers)))
    return f"{method} {path}{query} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + sent, path.encode(), body


@given(st.lists(requests(), min_size=1, max_size=4), st.integers(1, 400))
@settings(max_examples=150)
def test_what_is_well_formed_both_take_and_read_alike(sent: list[tuple[bytes, bytes, bytes]], size: int) -> None:
    data = b"".join(each for each, _, _ in sent)
    expected = ([(path, body) for _, path, body in sent], False)
    assert ours(data, size) == expected
    assert theirs(data) == expected


SEEDS = [
    b"GET /v1/a HTTP/1.1\r\nHost: v\r\n\r\n",
    b"POST /v1/a HTTP/1.1\r\nHost: v\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /v1/a HTTP/1.1\r\nHost: v\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-A: b\r\n\r\n",
    b"GET /v1/a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
]
PIECES = [
    b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b"\x00", b"\xff", b"0", b"5", b"+", b"-", b",", b";", b"%", b"\x0b", b"\x7f", b"\r\n\r\n",
    b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip\r\n", b"Host: w\r\n", b"HTTP/1.0", b"chunked",
]


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """Requests with bytes taken out, put in or doubled."""
    data = b"".join(draw(st.lists(st.sampled_from(SEEDS), min_size=1, max_size=3)))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        gone = draw(st.integers(0, 3))
        data = data[:at] + draw(st.sampled_from([b"", *PIECES])) + data[at + gone:]
    return data


@given(broken(), st.integers(1, 400))
@settings(max_examples=400)
@example(b"GET /v1/a HTTP/1.1\r\nHost: v\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400)
def test_what_h11_refuses_we_refuse(data: bytes, size: int) -> None:
    seen, refused = ours(data, size)
    expected, refused_there = theirs(data)
    if refused_there:
        assert refused or len(seen) <= len(expected), "taken, though h11 refuses it"
    assert seen == expected[:len(seen)], "read in another way"
    assert refused or refused_there or len(seen) >= len(expected), "neither taken nor refused"


@given(broken(), st.integers(1, 40))
@settings(max_examples=150)
def test_it_does_not_matter_how_the_bytes_are_cut(data: bytes, size: int) -> None:
    assert ours(data, size) == ours(data, len(data) or 1)
