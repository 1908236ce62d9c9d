"""The real network, on free ports of this machine."""

from __future__ import annotations

import datetime
import http.server
import ipaddress
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from holdfast.cli.errors import ExchangeError, Failure
from holdfast.cli.settings import Settings, TlsSettings
from holdfast.cli.transport import CannotConnect, HttpRequest, HttpTransport, NotTrusted


class _Handler(http.server.BaseHTTPRequestHandler):
    """Says back what it was asked."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        said = f"{self.command} {self.path} {self.headers.get('X-Vault-Token')} {self.headers.get('Content-Length')} ".encode() + body
        self.send_response(202)
        self.send_header("X-Seen", "yes")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def do_POST(self) -> None:
        """Without waiting for the body."""
        self.close_connection = True
        self.send_response(307)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_PUT = do_PATCH = do_DELETE = answer

    def address_string(self) -> str:
        return "test"

    def log_message(self, format: str, *args: object) -> None:
        pass


class _TcpServer(http.server.ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Broken handshakes are what some tests are about."""


class _UnixServer(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


def _serve(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass(frozen=True)
class Place:
    address: str
    ca: str = ""


@pytest.fixture
def plain() -> Iterator[Place]:
    server = _TcpServer(("127.0.0.1", 0), _Handler)
    for _ in _serve(server):
        yield Place(f"http://127.0.0.1:{server.server_port}")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for localhost and the name vault.test, which is its own authority."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("vault.test"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    cert = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(private)
    return folder / "cert.pem", folder / "key.pem"


@pytest.fixture
def tls(certificate: tuple[Path, Path]) -> Iterator[Place]:
    server = _TcpServer(("127.0.0.1", 0), _Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    for _ in _serve(server):
        yield Place(f"https://127.0.0.1:{server.server_port}", str(certificate[0]))


def ask(settings: Settings, *, method: str = "GET", body: bytes | None = None, env: dict[str, str] | None = None, url: str = "") -> str:
    request = HttpRequest(method=method, url=(url or settings.address) + "/v1/x?y=1", headers=(("X-Vault-Token", "t"),), body=body)
    response = HttpTransport(settings, env or {}).send(request)
    assert response.status == 202
    assert response.headers["x-seen"] == "yes"
    return response.body.decode()


def test_tcp(plain: Place) -> None:
    assert ask(Settings(address=plain.address)) == "GET /v1/x?y=1 t None "
    assert ask(Settings(address=plain.address), method="PUT", body=b"data") == "PUT /v1/x?y=1 t 4 data"
    assert ask(Settings(address=plain.address), method="PUT") == "PUT /v1/x?y=1 t 0 "


def test_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    server = _UnixServer(path, _Handler)
    for _ in _serve(server):
        assert ask(Settings(address=f"unix://{path}"), url="http://localhost") == "GET /v1/x?y=1 t None "
    with pytest.raises(CannotConnect, match=f'Get "http://localhost/v1/x\\?y=1": dial unix {path}: connect: connection refused'):
        ask(Settings(address=f"unix://{path}"), url="http://localhost")


def test_a_certificate_that_holds(tls: Place, tmp_path: Path) -> None:
    expected = "GET /v1/x?y=1 t None "
    assert ask(Settings(address=tls.address, tls=TlsSettings(ca_cert=tls.ca))) == expected
    assert ask(Settings(address=tls.address, tls=TlsSettings(ca_cert_pem=Path(tls.ca).read_text()))) == expected
    assert ask(Settings(address=tls.address, tls=TlsSettings(ca_cert=tls.ca, server_name="vault.test"))) == expected
    folder = tmp_path / "authorities"
    folder.mkdir()
    (folder / "any-name.pem").write_text(Path(tls.ca).read_text())
    assert ask(Settings(address=tls.address, tls=TlsSettings(ca_path=str(folder)))) == expected
    assert ask(Settings(address=tls.address, tls=TlsSettings(skip_verify=True))) == expected


def test_a_certificate_that_does_not_hold(tls: Place) -> None:
    with pytest.raises(NotTrusted, match="tls: failed to verify certificate: x509: certificate signed by unknown authority"):
        ask(Settings(address=tls.address))
    with pytest.raises(NotTrusted, match="tls: failed to verify certificate: x509: Hostname mismatch"):
        ask(Settings(address=tls.address, tls=TlsSettings(ca_cert=tls.ca, server_name="other.test")))


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "junk.pem").write_text("junk")
    for tls, source in (
        (TlsSettings(ca_cert="/no/such"), "/no/such: No such file or directory"),
        (TlsSettings(ca_path=str(tmp_path)), str(tmp_path / "junk.pem")),
        (TlsSettings(client_cert="/a", client_key="/b"), "/a, /b: No such file or directory"),
    ):
        with pytest.raises(Failure, match="failed to setup TLS config") as caught:
            ask(Settings(address="https://127.0.0.1:1", tls=tls))
        assert (caught.value.code, source in str(caught.value)) == (2, True)


def test_tls_to_a_server_without(plain: Place) -> None:
    with pytest.raises(NotTrusted, match="http: server gave HTTP response to HTTPS client"):
        ask(Settings(address=plain.address.replace("http:", "https:")))


def test_nobody_there_and_addresses_that_are_none() -> None:
    with pytest.raises(CannotConnect, match=r'Get "http://127.0.0.1:1/v1/x\?y=1": dial tcp 127.0.0.1:1: connect: connection refused'):
        ask(Settings(address="http://127.0.0.1:1"))
    with pytest.raises(ExchangeError, match='unsupported protocol scheme "ftp"'):
        ask(Settings(address="ftp://127.0.0.1"))
    with pytest.raises(ExchangeError, match="no Host in request URL"):
        ask(Settings(address="http://"))
    with pytest.raises(ExchangeError, match="Port"):
        ask(Settings(address="http://127.0.0.1:99999"))


def test_a_name_that_nobody_has(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    with pytest.raises(CannotConnect, match=r"dial tcp: lookup name\.invalid: no such host$"):
        ask(Settings(address="http://name.invalid"))


def test_what_cannot_be_a_header(plain: Place) -> None:
    for value in ("canary\u2192", "canary\nb"):
        request = HttpRequest(method="GET", url=plain.address + "/v1/x", headers=(("X-Vault-Token", value),))
        with pytest.raises(ExchangeError) as caught:
            HttpTransport(Settings(address=plain.address), {}).send(request)
        assert "a header has characters that cannot be sent" in str(caught.value)
        assert "canary" not in str(caught.value)


def test_an_answer_cut_short() -> None:
    """A server that closes before it has answered."""
    listener = socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler)
    for _ in _serve(listener):
        with pytest.raises(CannotConnect, match=r"EOF|connection reset"):
            ask(Settings(address=f"http://127.0.0.1:{listener.server_address[1]}"))


class _HalfAnAnswer(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.recv(1 << 16)
        self.request.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\n01234")


def test_an_answer_that_ends_in_its_middle() -> None:
    """As a snapshot does whose server is killed; it said "malformed HTTP response: IncompleteRead(5 bytes read, 5 more expected)"."""
    listener = socketserver.TCPServer(("127.0.0.1", 0), _HalfAnAnswer)
    for _ in _serve(listener):
        with pytest.raises(CannotConnect, match=r": unexpected EOF$"):
            ask(Settings(address=f"http://127.0.0.1:{listener.server_address[1]}"))


def test_through_a_proxy(plain: Place) -> None:
    asked = "GET http://vault.test:9/v1/x?y=1 t None "
    assert ask(Settings(address="http://vault.test:9", proxy=plain.address)) == asked
    assert ask(Settings(address="http://vault.test:9"), env={"http_proxy": plain.address}) == asked


def test_no_proxy_for_this_machine_and_for_names_that_are_excluded(plain: Place) -> None:
    nowhere = {"HTTP_PROXY": "http://127.0.0.1:1"}
    assert ask(Settings(address=plain.address), env=nowhere) == "GET /v1/x?y=1 t None "
    assert ask(Settings(address="http://0.0.0.0:1"), env={"HTTP_PROXY": plain.address}) == "GET http://0.0.0.0:1/v1/x?y=1 t None "
    with pytest.raises(CannotConnect, match=r"dial tcp 0.0.0.0:1: connect"):
        ask(Settings(address="http://0.0.0.0:1"), env={"HTTP_PROXY": plain.address, "NO_PROXY": "example.org, .0.0.0"})


@pytest.mark.parametrize("kind", ["plain", "tls"])
def test_an_answer_that_does_not_wait_for_a_file_is_read(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """The connection breaks while the file is sent, and what the server has said before that counts."""
    place: Place = request.getfixturevalue(kind)
    settings = Settings(address=place.address, tls=TlsSettings(ca_cert=place.ca))
    file = tmp_path / "large"
    with file.open("wb") as out:
        out.truncate(1 << 28)
    with file.open("rb") as upload:
        answer = HttpTransport(settings, {}).send(HttpRequest(method="POST", url=f"{place.address}/v1/a", upload=upload))
        assert upload.tell() < 1 << 28
    assert (answer.status, answer.headers["location"]) == (307, "/elsewhere")
