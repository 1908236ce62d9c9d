"""TLS of a listener: bytes in, bytes out, against OpenSSL."""
import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from msgspec.structs import replace
from tests.unit.http.certificates import Key, Pair
from tests.unit.http.wire import FakeTransport, get, new_ids, run_virtual

from holdfast._native import TlsSession
from holdfast.config.settings import TcpListener, TlsVersion
from holdfast.engine import Reply, Request
from holdfast.http import TlsConfig, TlsError, make_tls
from holdfast.http.connection import Connection
from holdfast.http.place import Place

SETTINGS = TcpListener(tls_cert_file="c", tls_key_file="k")
TICKET_KEY = b"t" * 32


@pytest.fixture(scope="module")
def authority() -> Pair:
    return Pair("authority")


@pytest.fixture(scope="module")
def server(authority: Pair) -> Pair:
    return Pair("vault", authority)


def made(pair: Pair, settings: TcpListener = SETTINGS, ticket_key: bytes = TICKET_KEY, client_ca: bytes = b"") -> TlsConfig:
    return make_tls(settings, certificate=pair.pem, key=pair.key_pem, client_ca=client_ca, ticket_key=ticket_key)


@pytest.fixture
def context(authority: Pair) -> Callable[..., ssl.SSLContext]:
    """What a client trusts and shows."""
    return lambda **options: client_context(authority, **options)


def client_context(authority: Pair, *, shows: Pair | None = None, folder: Path | None = None,
                   version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    found.load_verify_locations(cadata=authority.pem.decode())
    if shows is not None:
        assert folder is not None
        (folder / "shown.pem").write_bytes(shows.pem + shows.key_pem)
        found.load_cert_chain(folder / "shown.pem")
    if version is not None:
        found.minimum_version = found.maximum_version = version
    return found


class Client:
    """OpenSSL's end of a connection to `transport`, without a network."""

    def __init__(self, place: Place, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.ssl = context.wrap_bio(self._in, self._out, server_hostname="vault", session=session)
        self.place, self.transport = place, FakeTransport()
        self.connection = self.transport.protocol = Connection(place)
        self.connection.connection_made(self.transport)
        self.received = b""

    def exchange(self) -> None:
        """What each end has to say, until neither has."""
        while True:
            sent = self._out.read()
            if sent and not self.transport.closing:
                self.connection.data_received(sent)
                self.place.flush()
            answered, self.transport.written = bytes(self.transport.written), bytearray()
            self._in.write(answered)
            if not sent and not answered:
                return
            self._step()

    def _step(self) -> None:
        try:
            if not self.ssl.version() or not self.ssl.cipher():
                self.ssl.do_handshake()
            while data := self.ssl.read(65_536):
                self.received += data
        except ssl.SSLWantReadError:
            return
        except ssl.SSLZeroReturnError:
            return

    def sent(self) -> bytes:
        """What the client has to say, not handed on."""
        return self._out.read()

    def connect(self) -> None:
        """Raises SSLError if either end does not want the other."""
        try:
            self.ssl.do_handshake()
        except ssl.SSLWantReadError:
            self.exchange()

    def ask(self, data: bytes) -> bytes:
        self.received = b""
        self.ssl.write(data)
        self.exchange()
        return self.received


class Served:
    """A place with TLS, and the requests that reached its handler."""

    def __init__(self, config: TlsConfig) -> None:
        self.requests: list[Request] = []
        self.place = Place(SETTINGS, self._serve, tls=config, new_request_id=new_ids())

    def _serve(self, request: Request) -> Reply:
        self.requests.append(request)
        return Reply(status=200, body=b"served")


def with_place(config: TlsConfig, test: Callable[[Served], Any]) -> Any:
    async def run() -> Any:
        served = Served(config)
        try:
            return test(served)
        finally:
            served.place.close()

    return run_virtual(run())


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_request_over_tls(server: Pair, context: Callable[..., ssl.SSLContext], version: ssl.TLSVersion) -> None:
    def check(served: Served) -> None:
        client = Client(served.place, context(version=version))
        client.connect()
        assert client.ask(get("a") * 2).count(b"served") == 2
        assert client.ask(get("b", b"Connection: close")).endswith(b"served")
        assert client.ssl.read(1) == b"" if client.ssl.pending() else True
        assert client.transport.ended
        assert [request.path for request in served.requests] == ["a", "a", "b"]
        assert served.requests[0].client.certificate is None

    with_place(made(server), check)


@pytest.mark.parametrize(("offered", "taken"), [
    (("h2", "http/1.1"), "http/1.1"), (("http/1.0",), "http/1.0"), ((), None), (("h2",), "refused"),
])
def test_protocols(server: Pair, context: Callable[..., ssl.SSLContext], offered: tuple[str, ...], taken: str | None) -> None:
    def check(served: Served) -> None:
        offers = context()
        if offered:
            offers.set_alpn_protocols(offered)
        client = Client(served.place, offers)
        if taken == "refused":
            with pytest.raises(ssl.SSLError):
                client.connect()
        else:
            client.connect()
            assert client.ssl.selected_alpn_protocol() == taken

    with_place(made(server), check)


def test_large_answers_come_whole(server: Pair, context: Callable[..., ssl.SSLContext]) -> None:
    body = bytes(range(256)) * 8_192

    def check(served: Served) -> None:
        served.place.serve = lambda request: Reply(status=200, body=body)
        client = Client(served.place, context())
        client.connect()
        assert client.ask(get("a")).endswith(body)

    with_place(made(server), check)


def test_large_bodies_come_whole(server: Pair, context: Callable[..., ssl.SSLContext]) -> None:
    body = b'"' + b"x" * 1_000_000 + b'"'

    def check(served: Served) -> None:
        client = Client(served.place, context())
        client.connect()
        client.ask(b"POST /v1/a HTTP/1.1\r\nHost: v\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert served.requests[0].body == body

    with_place(made(server), check)


@pytest.mark.parametrize("key", [
    ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP384R1()), ec.generate_private_key(ec.SECP521R1()),
    rsa.generate_private_key(65_537, 2_048), ed25519.Ed25519PrivateKey.generate(),
], ids=["P-256", "P-384", "P-521", "RSA", "Ed25519"])
def test_keys_of_every_usual_kind(authority: Pair, context: Callable[..., ssl.SSLContext], key: Key) -> None:
    def check(served: Served) -> None:
        client = Client(served.place, context())
        client.connect()
        assert client.ask(get("a")).endswith(b"served")

    with_place(made(Pair("vault", authority, key=key)), check)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_s_certificate_is_handed_over_whoever_signed_it(
        server: Pair, context: Callable[..., ssl.SSLContext], version: ssl.TLSVersion, tmp_path: Path) -> None:
    """Unknown authority, and expired: what it is worth, the auth method judges."""
    stranger = Pair("someone", Pair("elsewhere"), client=True, days=-1)

    def check(served: Served) -> None:
        client = Client(served.place, context(shows=stranger, folder=tmp_path, version=version))
        client.connect()
        client.ask(get("a"))
        assert served.requests[0].client.certificate == stranger.der

    with_place(made(server), check)


def test_possession_is_proved(server: Pair, context: Callable[..., ssl.SSLContext], tmp_path: Path) -> None:
    """A certificate with another's key is refused, though OpenSSL would not even send it: so the signature is broken on its way."""
    client_pair = Pair("someone", Pair("elsewhere"), client=True)

    def check(served: Served) -> None:
        client = Client(served.place, context(shows=client_pair, folder=tmp_path, version=ssl.TLSVersion.TLSv1_2))
        taken = client.connection.data_received
        client.connection = _Breaking(taken)  # type: ignore[assignment]
        with pytest.raises(ssl.SSLError):
            client.connect()
        assert served.requests == []

    with_place(made(server), check)


class _Breaking:
    """Hands on what comes, and changes the last byte of the CertificateVerify of TLS 1.2, which is in the clear."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        self._take = take

    def data_received(self, data: bytes) -> None:
        at = 0
        changed = bytearray(data)
        while at + 5 < len(data):
            length = int.from_bytes(data[at + 3:at + 5], "big")
            if data[at] == 22 and data[at + 5] == 15:
                changed[at + 5 + length - 1] ^= 1
            at += 5 + length
        self._take(bytes(changed))


def test_no_certificate_is_asked_for_where_none_is_wanted(
        server: Pair, context: Callable[..., ssl.SSLContext], tmp_path: Path) -> None:
    def check(served: Served) -> None:
        client = Client(served.place, context(shows=Pair("someone", Pair("elsewhere"), client=True), folder=tmp_path))
        client.connect()
        client.ask(get("a"))
        assert served.requests[0].client.certificate is None

    with_place(made(server, replace(SETTINGS, tls_disable_client_certs=True)), check)


def test_client_certificates_are_verified_where_that_is_required(
        server: Pair, authority: Pair, context: Callable[..., ssl.SSLContext], tmp_path: Path) -> None:
    config = made(server, replace(SETTINGS, tls_require_and_verify_client_cert=True), client_ca=authority.pem)
    known, stranger = Pair("known", authority, client=True), Pair("stranger", Pair("elsewhere"), client=True)
    expired = Pair("expired", authority, client=True, days=-1)

    def check(served: Served) -> None:
        client = Client(served.place, context(shows=known, folder=tmp_path))
        client.connect()
        client.ask(get("a"))
        assert served.requests[0].client.certificate == known.der
        for refused in (stranger, expired, None):
            client = Client(served.place, context(shows=refused, folder=tmp_path, version=ssl.TLSVersion.TLSv1_2))
            with pytest.raises(ssl.SSLError):
                client.connect()
        assert len(served.requests) == 1

    with_place(config, check)


@pytest.mark.parametrize(("settings", "version", "works"), [
    (replace(SETTINGS, tls_min_version=TlsVersion.TLS13), ssl.TLSVersion.TLSv1_2, False),
    (replace(SETTINGS, tls_min_version=TlsVersion.TLS13), ssl.TLSVersion.TLSv1_3, True),
    (replace(SETTINGS, tls_max_version=TlsVersion.TLS12), ssl.TLSVersion.TLSv1_3, False),
    (replace(SETTINGS, tls_max_version=TlsVersion.TLS12), ssl.TLSVersion.TLSv1_2, True),
])
def test_versions(
        server: Pair, context: Callable[..., ssl.SSLContext], settings: TcpListener, version: ssl.TLSVersion, works: bool) -> None:
    def check(served: Served) -> None:
        client = Client(served.place, context(version=version))
        if works:
            client.connect()
            assert client.ask(get("a")).endswith(b"served")
        else:
            with pytest.raises(ssl.SSLError):
                client.connect()

    with_place(made(server, settings), check)


@pytest.mark.parametrize("name", ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305"])
def test_suites(server: Pair, context: Callable[..., ssl.SSLContext], name: str) -> None:
    def check(served: Served) -> None:
        client = Client(served.place, context(version=ssl.TLSVersion.TLSv1_2))
        client.connect()
        assert client.ask(get("a")).endswith(b"served")
        cipher = client.ssl.cipher()
        assert cipher is not None
        assert cipher[0].replace("-", "_").removeprefix("ECDHE_ECDSA_").replace("AES256", "AES_256") in name
        other = context(version=ssl.TLSVersion.TLSv1_2)
        other.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
        with pytest.raises(ssl.SSLError):
            Client(served.place, other).connect()
        Client(served.place, context(version=ssl.TLSVersion.TLSv1_3)).connect()

    with_place(made(server, replace(SETTINGS, tls_cipher_suites=(name,))), check)


def test_a_reload_is_for_new_connections(
        authority: Pair, server: Pair, context: Callable[..., ssl.SSLContext]) -> None:
    renewed = Pair("vault", authority)

    def shown(client: Client) -> bytes | None:
        return client.ssl.getpeercert(binary_form=True)

    def check(served: Served) -> None:
        old = Client(served.place, context())
        old.connect()
        served.place.tls = made(renewed)
        new = Client(served.place, context())
        new.connect()
        assert (shown(old), shown(new)) == (server.der, renewed.der)
        assert old.ask(get("a")).endswith(b"served")
        assert new.ask(get("a")).endswith(b"served")

    with_place(made(server), check)


def resumes(first: Served, then: Served, context: ssl.SSLContext) -> bool:
    client = Client(first.place, context)
    client.connect()
    client.ask(get("a"))
    again = Client(then.place, context, client.ssl.session)
    again.connect()
    again.ask(get("a"))
    return bool(again.ssl.session_reused)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_resumed_by_every_process_with_the_key_and_under_the_same_rules(
        authority: Pair, server: Pair, context: Callable[..., ssl.SSLContext], version: ssl.TLSVersion, tmp_path: Path) -> None:
    known = Pair("known", authority, client=True)

    async def run() -> None:
        lax, same, other_key = Served(made(server)), Served(made(server)), Served(made(server, ticket_key=b"o" * 32))
        strict = Served(made(server, replace(SETTINGS, tls_require_and_verify_client_cert=True), client_ca=authority.pem))
        shows = context(shows=known, folder=tmp_path, version=version)
        assert resumes(lax, same, shows)
        assert same.requests[0].client.certificate == known.der
        assert not resumes(lax, other_key, shows)
        assert not resumes(lax, strict, shows)
        assert strict.requests[0].client.certificate == known.der
        for served in (lax, same, other_key, strict):
            served.place.close()

    run_virtual(run())


def test_an_http_request_is_told_that_this_is_tls(server: Pair) -> None:
    async def run() -> None:
        served = Served(made(server))
        transport = FakeTransport()
        transport.protocol = Connection(served.place)
        transport.protocol.connection_made(transport)
        transport.protocol.data_received(get("a"))
        assert bytes(transport.written).startswith(b"HTTP/1.0 400 Bad Request\r\n")
        assert transport.written.endswith(b"Client sent an HTTP request to an HTTPS server.\n")
        assert transport.ended
        assert served.requests == []
        served.place.close()

    run_virtual(run())


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x00\x05hello", b"\x00" * 100, b"\x16\x03\x01\xff\xff" + b"x" * 100_000, b"\x80\x80" * 50])
@pytest.mark.parametrize("size", [1 << 20, 1])
def test_what_is_no_tls_ends_the_connection(server: Pair, data: bytes, size: int) -> None:
    async def run() -> None:
        served = Served(made(server))
        transport = FakeTransport()
        transport.protocol = Connection(served.place)
        transport.protocol.connection_made(transport)
        for at in range(0, min(len(data), 2_000 * size), size):
            transport.protocol.data_received(data[at:at + size])
        await asyncio.sleep(12)
        assert transport.closing
        assert served.requests == []
        served.place.close()

    run_virtual(run())


def test_what_came_before_the_end_of_the_session_is_answered(server: Pair, context: Callable[..., ssl.SSLContext]) -> None:
    async def run() -> None:
        served = Served(made(server))
        client = Client(served.place, context())
        client.connect()
        client.ssl.write(get("a") * 200)
        with pytest.raises(ssl.SSLWantReadError):
            client.ssl.unwrap()
        client.connection.data_received(client.sent())
        assert len(served.requests) == 64
        for _ in range(10):
            await asyncio.sleep(0)
        assert len(served.requests) == 200
        assert client.transport.closing
        served.place.close()

    run_virtual(run())


def test_a_client_that_ends_the_session_is_let_go(server: Pair, context: Callable[..., ssl.SSLContext]) -> None:
    def check(served: Served) -> None:
        client = Client(served.place, context())
        client.connect()
        client.ask(get("a"))
        with pytest.raises(ssl.SSLWantReadError):
            client.ssl.unwrap()
        client.exchange()
        assert client.transport.closing

    with_place(made(server), check)


@pytest.fixture
def faults(authority: Pair, server: Pair) -> dict[str, Callable[[], TlsConfig]]:
    other = Pair("vault", authority)

    def of(certificate: bytes, key: bytes, settings: TcpListener = SETTINGS, **options: bytes) -> Callable[[], TlsConfig]:
        return lambda: make_tls(settings, certificate=certificate, key=key, **{"ticket_key": TICKET_KEY, **options})

    return {
        "a key of another certificate": of(server.pem, other.key_pem),
        "no certificate": of(b"", server.key_pem),
        "nonsense for a certificate": of(b"-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n", server.key_pem),
        "certificate that is not PEM": of(server.der, server.key_pem),
        "no key": of(server.pem, b""),
        "a certificate for a key": of(server.pem, server.pem),
        "short ticket key": of(server.pem, server.key_pem, ticket_key=b"short"),
        "nonsense for an authority": of(server.pem, server.key_pem, replace(SETTINGS, tls_require_and_verify_client_cert=True),
                                        client_ca=b"nonsense"),
        "both ways at once": of(server.pem, server.key_pem, replace(SETTINGS, tls_require_and_verify_client_cert=True,
                                                                    tls_disable_client_certs=True)),
        "versions the wrong way round": of(server.pem, server.key_pem, replace(SETTINGS, tls_min_version=TlsVersion.TLS13,
                                                                               tls_max_version=TlsVersion.TLS12)),
        "unknown suite": of(server.pem, server.key_pem, replace(SETTINGS, tls_cipher_suites=("TLS_RSA_WITH_RC4_128_SHA",))),
    }


def test_what_makes_no_server_is_refused_as_a_whole(faults: dict[str, Callable[[], TlsConfig]]) -> None:
    for name, make in faults.items():
        with pytest.raises(TlsError):
            pytest.fail(f"{name}: {make()}")


def test_an_unknown_suite_is_named(faults: dict[str, Callable[[], TlsConfig]]) -> None:
    with pytest.raises(TlsError, match='cipher suite "TLS_RSA_WITH_RC4_128_SHA" is not supported'):
        faults["unknown suite"]()


def test_a_mismatched_pair_is_named(faults: dict[str, Callable[[], TlsConfig]]) -> None:
    with pytest.raises(TlsError, match=r"(?i)key"):
        faults["a key of another certificate"]()


def test_a_connection_may_end_on_another_thread(server: Pair) -> None:
    import threading

    held = [TlsSession(made(server))]
    thread = threading.Thread(target=held.clear)
    thread.start()
    thread.join()
    assert held == []
