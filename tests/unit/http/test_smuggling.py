"""Bytes that two readers could read in two ways: refused, and the connection ends."""
import pytest
from tests.unit.http.wire import Wire, place, run_virtual

from holdfast.engine import Reply, Request

HIDDEN = b"GET /v1/hidden HTTP/1.1\r\nHost: vault\r\n\r\n"


def head(*lines: bytes, first: bytes = b"POST /v1/x HTTP/1.1", host: bytes = b"Host: vault") -> bytes:
    return b"\r\n".join((first, *((host,) if host else ()), *lines)) + b"\r\n\r\n"


REFUSED: dict[str, bytes] = {
    "both lengths": head(b"Content-Length: 5", b"Transfer-Encoding: chunked") + b"0\r\n\r\n",
    "both lengths, the other way round": head(b"Transfer-Encoding: chunked", b"Content-Length: 5") + b"0\r\n\r\n",
    "two lengths": head(b"Content-Length: 5", b"Content-Length: 6") + b"hello",
    "the same length twice": head(b"Content-Length: 5", b"Content-Length: 5") + b"hello",
    "list of lengths": head(b"Content-Length: 5, 5") + b"hello",
    "signed length": head(b"Content-Length: +5") + b"hello",
    "negative length": head(b"Content-Length: -5") + b"hello",
    "hexadecimal length": head(b"Content-Length: 0x5") + b"hello",
    "length with a blank inside": head(b"Content-Length: 1 0") + b"hello",
    "empty length": head(b"Content-Length:") + b"hello",
    "length of digits that are not ASCII": head("Content-Length: ٥".encode()) + b"hello",
    "length over 63 bits": head(b"Content-Length: 99999999999999999999999") + b"hello",
    "length with an underscore": head(b"Content-Length: 1_0") + b"hello",
    "unknown coding": head(b"Transfer-Encoding: gzip") + b"0\r\n\r\n",
    "coding before chunked": head(b"Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n",
    "coding after chunked": head(b"Transfer-Encoding: chunked, identity") + b"0\r\n\r\n",
    "chunked twice": head(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked") + b"0\r\n\r\n",
    "chunked and identity": head(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity") + b"0\r\n\r\n",
    "identity": head(b"Transfer-Encoding: identity") + b"0\r\n\r\n",
    "misspelt chunked": head(b"Transfer-Encoding: xchunked") + b"0\r\n\r\n",
    "quoted chunked": head(b'Transfer-Encoding: "chunked"') + b"0\r\n\r\n",
    "chunked behind a vertical tab": head(b"Transfer-Encoding: \x0bchunked") + b"0\r\n\r\n",
    "chunked in HTTP/1.0": head(b"Transfer-Encoding: chunked", first=b"POST /v1/x HTTP/1.0") + b"0\r\n\r\n",
    "space before the colon": head(b"Content-Length : 5") + b"hello",
    "space before the colon of the coding": head(b"Transfer-Encoding : chunked") + b"0\r\n\r\n",
    "tab before the colon": head(b"Transfer-Encoding\t: chunked") + b"0\r\n\r\n",
    "folded header": head(b"X-A: b", b" Content-Length: 5") + b"hello",
    "folded with a tab": head(b"Transfer-Encoding:", b"\tchunked") + b"0\r\n\r\n",
    "first header folded": b"POST /v1/x HTTP/1.1\r\n Host: vault\r\nHost: vault\r\n\r\n",
    "header without a colon": head(b"nonsense"),
    "header without a name": head(b": value"),
    "header name with a NUL": head(b"X-\x00: value"),
    "header name that is not ASCII": head(b"X-\xe9: value"),
    "header name in brackets": head(b"X[1]: value"),
    "header value with a NUL": head(b"X-A: b\x00c"),
    "header value with a carriage return": head(b"X-A: b\rContent-Length: 5"),
    "header value with a backspace": head(b"X-A: b\x08"),
    "bare line feed at the end of a header": b"POST /v1/x HTTP/1.1\r\nHost: vault\nContent-Length: 5\r\n\r\nhello",
    "bare line feed behind the request line": b"POST /v1/x HTTP/1.1\nHost: vault\r\n\r\n",
    "bare line feeds": b"POST /v1/x HTTP/1.1\nHost: vault\n\n",
    "bare line feed as the empty line": b"POST /v1/x HTTP/1.1\r\nHost: vault\r\n\n",
    "bare carriage return behind the request line": b"POST /v1/x HTTP/1.1\rHost: vault\r\n\r\n",
    "empty line before the request": b"\r\n" + head(),
    "line feed before the request": b"\n" + head(),
    "blank before the request": b" " + head(),
    "two blanks in the request line": head(first=b"POST  /v1/x HTTP/1.1"),
    "blank behind the version": head(first=b"POST /v1/x HTTP/1.1 "),
    "tab in the request line": head(first=b"POST\t/v1/x HTTP/1.1"),
    "no target": head(first=b"POST HTTP/1.1"),
    "blank in the target": head(first=b"POST /v1/x y HTTP/1.1"),
    "NUL in the target": head(first=b"POST /v1/x\x00 HTTP/1.1"),
    "target that is not ASCII": head(first="POST /v1/é HTTP/1.1".encode()),
    "method that is no token": head(first=b"PO(ST /v1/x HTTP/1.1"),
    "HTTP/0.9": b"GET /v1/x\r\n\r\n",
    "HTTP/1.2": head(first=b"POST /v1/x HTTP/1.2"),
    "HTTP/2.0": head(first=b"POST /v1/x HTTP/2.0"),
    "preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "version in small letters": head(first=b"POST /v1/x http/1.1"),
    "no version": head(first=b"POST /v1/x"),
    "no host": head(host=b""),
    "two hosts": head(b"Host: other"),
    "unknown expectation": head(b"Expect: 200-ok"),
    "too many headers": head(*(b"X-%d: y" % number for number in range(200))),
    "head too large": head(b"X-A: " + b"y" * 70_000),
    "head without an end": b"POST /v1/x HTTP/1.1\r\nX-A: " + b"y" * 70_000,
    "request line without an end": b"GET /v1/" + b"x" * 70_000,
    "TLS on a plain listener": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n\r\n\r\n",
}
CHUNKED = head(b"Transfer-Encoding: chunked")
BAD_CHUNKS: dict[str, bytes] = {
    "no size": b"\r\nhello\r\n0\r\n\r\n",
    "size that is no number": b"g\r\nhello\r\n0\r\n\r\n",
    "signed size": b"+5\r\nhello\r\n0\r\n\r\n",
    "negative size": b"-5\r\nhello\r\n0\r\n\r\n",
    "size with a prefix": b"0x5\r\nhello\r\n0\r\n\r\n",
    "size with an underscore": b"0_5\r\nhello\r\n0\r\n\r\n",
    "blank before the size": b" 5\r\nhello\r\n0\r\n\r\n",
    "size over 64 bits": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "bare line feed behind the size": b"5\nhello\r\n0\r\n\r\n",
    "bare line feed in an extension": b"5;a\nhello\r\n0\r\n\r\n",
    "carriage return in an extension": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "NUL in an extension": b"5;\x00\r\nhello\r\n0\r\n\r\n",
    "bare line feed behind the data": b"5\r\nhello\n0\r\n\r\n",
    "data longer than its size": b"5\r\nhello!\r\n0\r\n\r\n",
    "data shorter than its size": b"6\r\nhello\r\n0\r\n\r\n",
    "bare line feed as the last line": b"0\r\n\n",
    "bare line feed behind a trailer": b"0\r\nX-A: b\n\r\n",
    "folded trailer": b"0\r\nX-A: b\r\n c\r\n\r\n",
    "trailer with a space before the colon": b"0\r\nX-A : b\r\n\r\n",
    "length as a trailer": b"0\r\nContent-Length: 5\r\n\r\n",
    "coding as a trailer": b"0\r\nX-A: b\r\ntransfer-encoding: chunked\r\n\r\n",
    "host as a trailer": b"0\r\nHost: other\r\n\r\n",
    "request as a trailer": b"0\r\n" + HIDDEN,
    "line too long": b"5;" + b"a" * 5_000 + b"\r\nhello\r\n0\r\n\r\n",
    "size without an end": b"0" * 5_000,
    "too many trailers": b"0\r\n" + b"X-A: b\r\n" * 2_000 + b"\r\n",
}


async def answer_to(*pieces: bytes) -> tuple[list[int], bool, bytes]:
    reached: list[str] = []

    def serve(request: Request) -> Reply:
        reached.append(request.path)
        return Reply(status=200, body=b"served")

    here = place(serve)
    wire = Wire(here)
    for piece in pieces:
        if not wire.ended:
            wire.send(piece)
    assert "hidden" not in reached
    result = wire.statuses, wire.ended, wire.received
    here.close()
    return result


@pytest.mark.parametrize("name", REFUSED)
def test_malformed_heads_end_the_connection(name: str) -> None:
    statuses, ended, received = run_virtual(answer_to(REFUSED[name] + HIDDEN))
    assert (statuses, ended) == ([400], True)
    assert b"Connection: close\r\n" in received
    assert received.endswith(b'"]}\n')


@pytest.mark.parametrize("name", REFUSED)
def test_malformed_heads_end_the_connection_however_they_are_cut(name: str) -> None:
    data = REFUSED[name] + HIDDEN
    size = 1 if len(data) < 2_000 else 997
    statuses, ended, _ = run_virtual(answer_to(*(data[at:at + size] for at in range(0, len(data), size))))
    assert (statuses, ended) == ([400], True)


@pytest.mark.parametrize("name", BAD_CHUNKS)
@pytest.mark.parametrize("size", [1, 1 << 20])
def test_malformed_chunks_end_the_connection(name: str, size: int) -> None:
    data = CHUNKED + BAD_CHUNKS[name] + HIDDEN
    statuses, ended, _ = run_virtual(answer_to(*(data[at:at + size] for at in range(0, len(data), size))))
    assert (statuses, ended) == ([400], True)


def test_what_was_well_formed_before_is_answered_first() -> None:
    statuses, ended, _ = run_virtual(answer_to(head(first=b"GET /v1/x HTTP/1.1") * 2 + b"nonsense\n\n" + HIDDEN))
    assert (statuses, ended) == ([200, 200, 400], True)


def test_bodies_are_no_requests() -> None:
    """A body that looks like a request stays one, by length and by chunks."""
    counted = head(b"Content-Length: %d" % len(HIDDEN)) + HIDDEN
    chunked = CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN)
    statuses, ended, _ = run_virtual(answer_to(counted + chunked + counted))
    assert (statuses, ended) == ([200, 200, 200], False)


def test_a_body_of_a_read_is_no_request_either() -> None:
    first = head(b"Content-Length: %d" % len(HIDDEN), first=b"GET /v1/x HTTP/1.1")
    statuses, ended, _ = run_virtual(answer_to(first + HIDDEN + first + HIDDEN))
    assert (statuses, ended) == ([200, 200], False)


@pytest.mark.parametrize("announced", [b"Content-Length: 33554433", b"Content-Length: 999999999999999999"])
def test_a_body_over_the_limit_is_refused_before_it_comes(announced: bytes) -> None:
    statuses, ended, received = run_virtual(answer_to(head(announced)))
    assert (statuses, ended) == ([413], True)
    assert b"max_request_size is 33554432 bytes" in received


def test_a_chunk_over_the_limit_is_refused_before_it_comes() -> None:
    statuses, ended, _ = run_virtual(answer_to(CHUNKED + b"2000001\r\n"))
    assert (statuses, ended) == ([413], True)


def test_more_chunks_than_the_limit_are_refused() -> None:
    for chunks in (b"1\r\nx\r\n" * 20_000, b"1;a\r\nx\r\n" * 20_000):
        assert run_virtual(answer_to(CHUNKED + chunks))[0] == []
        statuses, ended, _ = run_virtual(answer_to(CHUNKED + chunks + b"1\r\nx\r\n"))
        assert (statuses, ended) == ([400], True)
