"""From bytes to requests."""
from pathlib import Path

import pytest

from holdfast.engine import Client, Method, Request
from holdfast.http.body import Refused
from holdfast.http.framing import Framing, Message, Waits, whole
from holdfast.http.head import CONTENT_TYPE, FLAGS, KEEP_ALIVE, METHOD, OTHERS, PATH, PLAIN, QUERY, TOKEN
from holdfast.http.upload import Spool, declined
from holdfast.ids import RequestId

GET = b"GET /v1/secret/a?b=c HTTP/1.1\r\nHost: vault\r\nX-Vault-Token: t\r\nX-Other: o\r\n\r\n"
POST = b"POST /v1/secret/a HTTP/1.1\r\nHost: vault\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\nhello"
CHUNKS = (b"PUT /v1/secret/b HTTP/1.1\r\nHost: vault\r\nTransfer-Encoding: Chunked\r\n\r\n"
          b"2\r\nhe\r\n0000003;ext=\"1\"\r\nllo\r\n0\r\nX-Trailer: y\r\n\r\n")


def all_of(framing: Framing) -> list[Message]:
    found = []
    while (message := framing.next()) is not None:
        found.append(message)
    return found


def test_a_head_gives_what_a_request_needs() -> None:
    framing = Framing(100)
    framing.receive(GET)
    message = framing.next()
    assert message is not None
    head, body = message
    assert (head[METHOD], head[PATH], head[QUERY], head[TOKEN], head[CONTENT_TYPE]) == ("GET", "secret/a", "b=c", b"t", None)
    assert head[FLAGS] == KEEP_ALIVE | PLAIN
    assert head[OTHERS] == [("x-other", b"o")]
    assert body == b""
    assert framing.next() is None
    assert framing.waits is Waits.REQUEST


@pytest.mark.parametrize("data", [GET, POST])
def test_what_is_one_request_and_nothing_else_is_taken_at_once_and_comes_to_the_same(data: bytes) -> None:
    framing = Framing(100)
    framing.receive(data)
    assert whole(data, 100) == framing.next()
    assert framing.empty


@pytest.mark.parametrize("data", [
    b"", GET[:-1], GET + b"G", POST[:-1], POST + b"x", POST + GET, CHUNKS, GET.replace(b"Host", b"Hos\0"), b"\r\n" + GET,
    POST.replace(b"/v1/secret/a", b"/v1/sys/storage/raft/snapshot"), GET.replace(b": o", b": " + b"o" * 100_000)])
def test_whatever_else_comes_is_judged_by_the_framing(data: bytes) -> None:
    assert whole(data, 100) is None
    assert whole(POST, 4) is None


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50, 1_000])
def test_requests_are_the_same_however_they_are_cut(size: int) -> None:
    data = GET + POST + CHUNKS + POST + GET
    framing = Framing(100)
    found = []
    for at in range(0, len(data), size):
        framing.receive(data[at:at + size])
        found += all_of(framing)
    assert [(head[METHOD], head[PATH], body) for head, body in found] == [
        ("GET", "secret/a", b""), ("POST", "secret/a", b"hello"), ("PUT", "secret/b", b"hello"), ("POST", "secret/a", b"hello"),
        ("GET", "secret/a", b"")]
    assert framing.kept_bytes == 0


def test_it_says_what_it_waits_for() -> None:
    framing = Framing(100)
    assert framing.waits is Waits.REQUEST
    framing.receive(POST[:20])
    assert (framing.next(), framing.waits) == (None, Waits.HEAD)
    framing.receive(POST[20:-2])
    assert (framing.next(), framing.waits) == (None, Waits.BODY)
    framing.receive(POST[-2:])
    assert framing.next() is not None
    assert framing.waits is Waits.REQUEST


@pytest.mark.parametrize(("with_body", "owes"), [(b"", True), (b"h", False)])
def test_a_client_that_expects_100_is_owed_it_until_its_body_comes(with_body: bytes, owes: bool) -> None:
    framing = Framing(100)
    framing.receive(b"POST /v1/x HTTP/1.1\r\nHost: v\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n" + with_body)
    assert framing.next() is None
    assert framing.owes_continue is owes
    framing.receive(b"he"[len(with_body):])
    assert framing.next() is not None
    assert not framing.owes_continue


@pytest.mark.parametrize("data", [
    b"POST /v1/x HTTP/1.1\r\nHost: v\r\nContent-Length: 11\r\n\r\n",
    b"POST /v1/x HTTP/1.1\r\nHost: v\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello \r\n5\r\n",
])
def test_a_body_over_the_limit_is_413(data: bytes) -> None:
    framing = Framing(10)
    framing.receive(data)
    with pytest.raises(Refused, match="max_request_size is 10 bytes") as refused:
        framing.next()
    assert refused.value.status == 413


def test_a_body_of_the_limit_is_taken() -> None:
    framing = Framing(10)
    framing.receive(b"POST /v1/x HTTP/1.1\r\nHost: v\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello \r\n4\r\nyou!\r\n0\r\n\r\n")
    message = framing.next()
    assert message is not None
    assert message[1] == b"hello you!"


def test_the_largest_head_is_taken_and_one_byte_more_is_not() -> None:
    empty = b"GET /v1/x HTTP/1.1\r\nHost: v\r\nX-A: \r\n\r\n"
    fits = empty.replace(b"X-A: ", b"X-A: " + b"y" * (65_536 - len(empty)))
    framing = Framing(10)
    framing.receive(fits)
    assert framing.next() is not None
    framing.receive(fits.replace(b"X-A: ", b"X-A: y"))
    with pytest.raises(Refused, match="at most 65536 bytes"):
        framing.next()


@pytest.mark.parametrize(("count", "taken"), [(127, True), (128, False)])
def test_the_number_of_headers_is_bounded(count: int, taken: bool) -> None:
    framing = Framing(10)
    framing.receive(b"GET /v1/x HTTP/1.1\r\nHost: v\r\n" + b"X-A: y\r\n" * count + b"\r\n")
    if taken:
        assert framing.next() is not None
    else:
        with pytest.raises(Refused, match="too many headers"):
            framing.next()


def test_nothing_of_one_request_reaches_the_next() -> None:
    framing = Framing(10)
    framing.receive(b"POST /v1/x HTTP/1.1\r\nHost: v\r\nX-Vault-Token: t\r\nContent-Type: a\r\nX-B: c\r\nContent-Length: 1\r\n\r\n1")
    assert framing.next() is not None
    framing.receive(b"GET /v1/y HTTP/1.1\r\nHost: v\r\n\r\n")
    message = framing.next()
    assert message is not None
    head, body = message
    assert (head[TOKEN], head[CONTENT_TYPE], head[OTHERS], body) == (None, None, None, b"")


@pytest.mark.parametrize(("headers", "token"), [
    (b"X-Vault-Token: a\r\n", b"a"),
    (b"x-vault-token:a\r\n", b"a"),
    (b"Authorization: Bearer b\r\n", b"b"),
    (b"Authorization: Bearer  b \r\n", b"b"),
    (b"Authorization: bearer b\r\n", None),
    (b"Authorization: Basic b\r\n", None),
    (b"Authorization: Basic c\r\nAuthorization: Bearer b\r\n", b"b"),
    (b"Authorization: Bearer b\r\nX-Vault-Token: a\r\n", b"a"),
    (b"X-Vault-Token:\r\nAuthorization: Bearer b\r\n", b"b"),
    (b"X-Vault-Token: a\r\nX-Vault-Token: b\r\n", b"a"),
])
def test_the_token_is_where_vault_looks_for_it(headers: bytes, token: bytes | None) -> None:
    framing = Framing(10)
    framing.receive(b"GET /v1/x HTTP/1.1\r\nHost: v\r\n" + headers + b"\r\n")
    message = framing.next()
    assert message is not None
    assert message[0][TOKEN] == token


def begun(data: bytes) -> Framing:
    """It wants to know where the body goes."""
    framing = Framing(100, has_uploads=True)
    framing.receive(data)
    assert framing.next() is None
    assert framing.upload is not None
    return framing


@pytest.mark.parametrize("path", ["/v1/sys/storage/raft/snapshot", "/v1/sys/storage/raft/snapshot-force/"])
def test_the_body_of_a_snapshot_goes_where_it_is_said(path: str, tmp_path: Path) -> None:
    """As far as that takes it, whatever the listener's own bound; and one whose request is answered without it is not looked at."""
    file, no_room = tmp_path / "r", Refused(413, "no room")
    request = Request(id=RequestId("r"), method=Method.POST, path="p", client=Client(address="192.0.2.1"))
    body = bytes(range(256))
    counted = b"POST %b HTTP/1.1\r\nHost: vault\r\nContent-Length: 256\r\n\r\n%b" % (path.encode(), body)
    chunked = b"POST %b HTTP/1.1\r\nHost: vault\r\nTransfer-Encoding: chunked\r\n\r\n100\r\n%b\r\n0\r\n\r\n" % (path.encode(), body)
    for data in (counted, chunked):
        spool = Spool(request, file, 256, 10, no_room)
        framing = begun(data)
        message = framing.take_into(spool)
        assert message is not None
        assert message[1] is spool
        assert framing.empty
        assert file.read_bytes() == body
        spool.remove()
        framing = begun(data)
        with pytest.raises(Refused, match="no room"):
            framing.take_into(Spool(request, file, 255, 10, no_room))
        assert not file.exists()
        framing = begun(data)
        message = framing.take_into(declined(request))
        assert message is not None
        assert not message[0][FLAGS] & KEEP_ALIVE
        assert framing.spool is None
