"""TLS between nodes, without a network: against itself, and against another implementation that plays a stranger."""
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.cluster.nodes import MEMBERS, SHARED, identity

from holdfast._native import PeerTls, TlsError, TlsSession
from holdfast.cluster import Alpn, Credentials, Identity
from holdfast.cluster.tls_port import tls_of

OTHER = identity("raft-other")
OFFER = tls_of(Alpn.RAFT, MEMBERS)


def exchange(client: TlsSession, server: TlsSession, *, size: int = 1 << 20) -> tuple[bytes, bytes]:
    """Bytes to and fro, `size` at once, until both have no more to say: the plaintext that each got."""
    to_server, to_client = client.send(b"") or b"", b""
    at_client = at_server = b""
    while to_server or to_client:
        plain, out, _ = server.receive(to_server[:size]) if to_server else (None, None, False)
        to_server, to_client, at_server = to_server[size:], to_client + (out or b""), at_server + (plain or b"")
        plain, out, _ = client.receive(to_client[:size]) if to_client else (None, None, False)
        to_client, to_server, at_client = to_client[size:], to_server + (out or b""), at_client + (plain or b"")
    return at_client, at_server


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_members_understand_each_other_however_the_bytes_are_cut(size: int) -> None:
    client, server = TlsSession.connect(OFFER), TlsSession.accept([OFFER])
    exchange(client, server, size=size)
    assert not client.is_handshaking
    assert not server.is_handshaking
    assert client.alpn == server.alpn == "raft_storage_v1"
    assert client.peer_certificate == server.peer_certificate == SHARED.certificate
    sealed = client.send(b"x" * 100_000)
    assert sealed is not None
    assert b"xxxx" not in sealed
    got = b""
    for at in range(0, len(sealed), 1_000):
        got += server.receive(sealed[at:at + 1_000])[0] or b""
    assert got == b"x" * 100_000


def test_nothing_is_told_of_the_other_side_before_it_has_proved_it() -> None:
    client, server = TlsSession.connect(OFFER), TlsSession.accept([OFFER])
    assert (client.peer_certificate, server.peer_certificate, server.alpn, server.error) == (None, None, None, None)
    server.receive(client.send(b"") or b"")
    assert server.is_handshaking
    assert server.peer_certificate is None


def test_after_an_error_nothing_more_is_taken() -> None:
    server = TlsSession.accept([OFFER])
    _, alert, ended = server.receive(b"GET / HTTP/1.1\r\n\r\n")
    assert ended
    assert alert is not None
    assert server.error == "received corrupt message of type InvalidContentType"
    assert server.receive(TlsSession.connect(OFFER).send(b"") or b"") == (None, None, True)
    assert server.send(b"plain") is None
    assert server.close() is None
    assert not server.is_handshaking


def test_a_pair_that_is_none_is_refused() -> None:
    with pytest.raises(TlsError):
        PeerTls(alpn="x", certificate=SHARED.certificate, key=OTHER.key.value, accepts=[])
    with pytest.raises(TlsError):
        PeerTls(alpn="x", certificate=b"", key=b"", accepts=[])


def stranger(folder: Path, shows: Identity | None, *, alpn: str | None = "raft_storage_v1",
             version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if alpn is not None:
        context.set_alpn_protocols([alpn])
    if version is not None:
        context.minimum_version = context.maximum_version = version
    if shows is not None:
        key = serialization.load_der_private_key(shows.key.value, None)
        path = folder / "identity.pem"
        path.write_bytes(x509.load_der_x509_certificate(shows.certificate).public_bytes(serialization.Encoding.PEM) + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        context.load_cert_chain(path)
    return context


def shake(context: ssl.SSLContext, server: TlsSession) -> ssl.SSLObject:
    """A handshake of the stranger's with a node; what the node answers may be an alert."""
    inward, outward = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(inward, outward)
    for _ in range(10):
        try:
            client.do_handshake()
            done = True
        except ssl.SSLWantReadError:
            done = False
        except ssl.SSLError:
            return client
        data = outward.read()
        _, out, ended = server.receive(data) if data else (None, None, False)
        inward.write(out or b"")
        if ended or (done and not out):
            return client
    raise AssertionError("a handshake without an end")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_another_implementation_with_the_right_identity_comes_in(tmp_path: Path, version: ssl.TLSVersion) -> None:
    server = TlsSession.accept([OFFER])
    client = shake(stranger(tmp_path, SHARED, version=version), server)
    assert server.error is None
    assert not server.is_handshaking
    assert client.getpeercert(binary_form=True) == server.peer_certificate == SHARED.certificate


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(("shows", "alpn", "why"), [
    (None, "raft_storage_v1", "shows no certificate"),
    (OTHER, "raft_storage_v1", "shows a certificate that is not accepted here"),
    (SHARED, None, "asks for a protocol that is not offered here now"),
    (SHARED, "h2", "asks for a protocol that is not offered here now"),
    (SHARED, "perf_standby_v1", "asks for a protocol that is not offered here now"),
])
def test_a_stranger_does_not_come_in(tmp_path: Path, version: ssl.TLSVersion, shows: Identity | None, alpn: str | None, why: str) -> None:
    server = TlsSession.accept([OFFER])
    shake(stranger(tmp_path, shows, alpn=alpn, version=version), server)
    assert server.error == why
    assert server.peer_certificate is None


def test_who_is_not_offered_anything_learns_no_certificate(tmp_path: Path) -> None:
    server = TlsSession.accept([])
    client = shake(stranger(tmp_path, SHARED), server)
    assert server.error == "asks for a protocol that is not offered here now"
    with pytest.raises(ValueError, match="handshake not done yet"):
        client.getpeercert(binary_form=True)


def test_identities_of_one_protocol_are_worth_nothing_for_another() -> None:
    forwarding = tls_of(Alpn.FORWARDING, Credentials(own=OTHER, accepts=(OTHER.certificate,)))
    wrong = tls_of(Alpn.FORWARDING, Credentials(own=SHARED, accepts=(OTHER.certificate,)))
    server = TlsSession.accept([OFFER, forwarding])
    exchange(TlsSession.connect(wrong), server)
    assert server.error == "shows a certificate that is not accepted here"


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4), st.integers(0, 500), st.binary(max_size=30))
def test_no_bytes_make_a_server_fail(changes: list[tuple[int, int]], keep: int, after: bytes) -> None:
    """A panic in the native crate would end the process."""
    hello = bytearray(TlsSession.connect(OFFER).send(b"") or b"")
    for at, value in changes:
        hello[at % len(hello)] = value
    server = TlsSession.accept([OFFER])
    for data in (bytes(hello[:keep]), bytes(hello[keep:]), after):
        _, _, ended = server.receive(data)
        assert ended == (server.error is not None)
    assert server.peer_certificate is None


@settings(max_examples=60)
@given(st.integers(0, 5_000), st.integers(0, 255))
def test_no_bytes_make_a_client_fail(at: int, value: int) -> None:
    client, server = TlsSession.connect(OFFER), TlsSession.accept([OFFER])
    _, out, _ = server.receive(client.send(b"") or b"")
    answer = bytearray(out or b"")
    answer[at % len(answer)] = value
    client.receive(bytes(answer))
    if client.error is None and not client.is_handshaking:   # some bytes of records mean nothing, so nothing protects them
        assert client.peer_certificate == SHARED.certificate
