"""Replies to bytes."""
from collections.abc import AsyncIterator

import pytest

from holdfast.engine import Reply, Stream
from holdfast.errors import InvariantError
from holdfast.http.reply import Replies, chunk, errors

STS = b"Strict-Transport-Security: max-age=31536000; includeSubDomains\r\n"


def without_date(data: bytes) -> bytes:
    return b"\r\n".join(line for line in data.split(b"\r\n") if not line.startswith(b"Date: "))


def test_the_common_answer() -> None:
    data = Replies({}).bytes_of(Reply(status=200, body=b"{}\n"))
    assert data.count(b"\r\nDate: ") == 1
    assert without_date(data) == (b"HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Type: application/json\r\n" + STS
                                  + b"Content-Length: 3\r\n\r\n{}\n")


def test_it_is_the_same_made_in_either_way() -> None:
    replies, reply = Replies({}), Reply(status=404, body=b'{"errors":[]}\n')
    assert replies.bytes_of(reply) == replies.any_bytes_of(reply)


def test_no_body_follows_304_which_anybody_may_ask_the_health_to_be() -> None:
    """Its reader would take it for the next answer of the connection."""
    replies = Replies({})
    for _ in range(2):
        assert replies.bytes_of(Reply(status=304, body=b"{}\n")).endswith(b"\r\n\r\n")


def test_nothing_is_said_with_204() -> None:
    for reply in (Reply(status=204), Reply(status=204, body=b"x")):
        data = Replies({}).bytes_of(reply)
        assert data == Replies({}).any_bytes_of(reply)
        assert without_date(data) == (b"HTTP/1.1 204 No Content\r\nCache-Control: no-store\r\nContent-Type: application/json\r\n" + STS
                                      + b"\r\n")


def test_an_empty_answer_has_a_length() -> None:
    assert b"Content-Length: 0\r\n" in Replies({}).bytes_of(Reply(status=200))


def test_head_has_the_length_and_no_body() -> None:
    data = Replies({}).any_bytes_of(Reply(status=429, body=b"{}\n"), head_only=True)
    assert data.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
    assert data.endswith(b"Content-Length: 3\r\n\r\n")
    assert b"Content-Length" not in Replies({}).any_bytes_of(Reply(status=200), head_only=True)


def test_headers_of_the_answer() -> None:
    reply = Reply(status=307, headers=(("Location", "https://a/v1/b"), ("X-Vault-Index", "abc")))
    assert b"Location: https://a/v1/b\r\nX-Vault-Index: abc\r\n" in Replies({}).bytes_of(reply)
    assert b"\r\nConnection: close\r\n" in Replies({}).any_bytes_of(reply, connection="close")


@pytest.mark.parametrize(("name", "value"), [
    ("X-A", "b\r\nX-C: d"), ("X-A", "b\nc"), ("X-A\r\nX-B", "c"), ("X A", "b"), ("X-A", "\x00"), ("", "b"),
])
def test_no_header_carries_a_line_end(name: str, value: str) -> None:
    with pytest.raises(InvariantError):
        Replies({}).bytes_of(Reply(status=200, body=b"{}", headers=((name, value),)))


def test_custom_headers_by_status_the_most_exact_one_wins() -> None:
    custom = {
        "default": {"X-All": "1", "strict-transport-security": "max-age=1"},
        "4xx": {"X-All": "2", "X-Four": "4"},
        "404": {"X-All": "3"},
    }
    replies = Replies(custom)
    found = {status: replies.bytes_of(Reply(status=status, body=b"{}")) for status in (200, 400, 404)}
    for data in found.values():
        assert b"Strict-Transport-Security: max-age=1\r\n" in data
        assert data.count(b"Strict-Transport-Security") == 1
    assert b"X-All: 1\r\n" in found[200]
    assert b"X-Four" not in found[200]
    assert b"X-All: 2\r\nX-Four: 4\r\n" in found[400]
    assert b"X-All: 3\r\nX-Four: 4\r\n" in found[404]


def test_fixed_headers_stand_in_every_answer() -> None:
    replies = Replies({}, (("X-Vault-Hostname", "box"),))
    assert b"X-Vault-Hostname: box\r\n" in replies.bytes_of(Reply(status=200, body=b"{}"))
    assert b"X-Vault-Hostname: box\r\n" in replies.bytes_of(Reply(status=204))


def test_the_date_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 0.0)
    replies = Replies({})
    assert b"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n" in replies.bytes_of(Reply(status=200, body=b"{}"))
    monkeypatch.setattr("time.time", lambda: 1.0)
    replies.tick()
    for reply in (Reply(status=200, body=b"{}"), Reply(status=204)):
        assert b"Date: Thu, 01 Jan 1970 00:00:01 GMT\r\n" in replies.bytes_of(reply)


def test_a_stream_has_no_length() -> None:
    async def nothing() -> AsyncIterator[bytes]:
        yield b""

    stream = Stream(status=200, content_type="application/gzip", chunks=nothing(), headers=(("Content-Disposition", "attachment"),))
    data = Replies({}).start_of(stream, chunked=True, connection="")
    assert data.endswith(b"Content-Disposition: attachment\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert b"Content-Length" not in data
    assert chunk(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"


def test_errors_have_vault_s_body() -> None:
    assert errors(400, 'no "x"').body == b'{"errors":["no \\"x\\""]}\n'
    assert errors(405).body == b'{"errors":[]}\n'


def test_own_headers_are_in_every_answer_unless_it_brings_one_of_the_name() -> None:
    replies = Replies({}, (("X-Vault-Hostname", "here"), ("X-Vault-Raft-Node-ID", "n1")))
    own = b"X-Vault-Hostname: here\r\nX-Vault-Raft-Node-ID: n1\r\n"
    assert own in replies.bytes_of(Reply(status=200, body=b"{}"))
    assert own in replies.bytes_of(Reply(status=204))
    made_elsewhere = Reply(status=200, body=b"{}", headers=(("X-Vault-Raft-Node-ID", "n2"), ("X-Vault-Index", "abc")))
    for data in (replies.bytes_of(made_elsewhere), replies.start_of(Stream(
            status=200, content_type="", chunks=_nothing(), headers=made_elsewhere.headers), chunked=True, connection="")):
        assert data.count(b"X-Vault-Raft-Node-ID: ") == 1
        assert b"X-Vault-Hostname: here\r\n" in data
        assert b"X-Vault-Raft-Node-ID: n2\r\n" in data
        assert b"X-Vault-Index: abc\r\n" in data


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""
