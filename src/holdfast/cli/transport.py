"""One HTTP exchange over TCP, TLS or a unix socket, with the standard library alone.

1. Certificates are verified against the authorities given, or the system's, unless the caller explicitly refuses to; TLS 1.2 at least.
2. Nothing is followed and nothing tried again here.
"""
from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from io import SEEK_END
from typing import TYPE_CHECKING, BinaryIO, Protocol
from urllib.parse import SplitResult, urlsplit

from holdfast.cli.errors import API, ExchangeError, Failure
from holdfast.cli.settings import Settings, TlsSettings
from holdfast.limits import CLI_RESPONSE_MAX_BYTES, STREAM_CHUNK_BYTES

if TYPE_CHECKING:
    import ssl

_UNIX = "unix://"
_UNKNOWN_AUTHORITY = (18, 19, 20, 21)                # OpenSSL's codes for it: signed by itself, or by nobody who is trusted
_LOCAL = ("localhost", "127.0.0.1", "::1")


class Sink(Protocol):
    """Takes an answer that is too large to be held."""

    def begin(self) -> None:
        """A whole answer follows; what came before, of one that broke off, does not count."""

    def write(self, piece: bytes) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """`url` is absolute and encoded; of a unix socket its host stands for the socket. `upload`: a file, from its beginning, in place of the
    body. `sink`: takes the body of an answer with status 200."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    upload: BinaryIO | None = None
    sink: Sink | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResponse:
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)    # names in lower case
    body: bytes = b""


class CannotConnect(ExchangeError):
    """No answer; trying again may help."""


class NotTrusted(ExchangeError):
    """The certificate does not hold: trying again cannot help."""


class Transport(Protocol):
    """Sends one request. Raises CannotConnect or NotTrusted."""

    def send(self, request: HttpRequest) -> HttpResponse: ...


class HttpTransport:
    """The network."""

    def __init__(self, settings: Settings, env: Mapping[str, str]) -> None:
        self._settings = settings
        self._env = env
        self._context: ssl.SSLContext | None = None

    def send(self, request: HttpRequest) -> HttpResponse:
        parts = urlsplit(request.url)
        try:
            connection, target = self._connect(parts)
            with closing(connection):
                try:
                    _write(connection, request, target)
                except OSError as error:
                    if request.upload is None or not _takes_no_more(error):
                        raise
                    # An answer that does not wait for the end of a file, as a redirect, may be there all the same.
                answer = connection.getresponse()
                if request.sink is not None and answer.status == 200:
                    _pour(answer, request.sink)
                body = answer.read(CLI_RESPONSE_MAX_BYTES + 1)
        except (OSError, http.client.HTTPException) as error:
            raise _explain(request, parts, error, self._settings) from error
        except ValueError as error:
            # An address, a token or a header that cannot be written down.
            raise ExchangeError(f'{_verb(request)} "{request.url}": {_reason(error)}') from error
        if len(body) > CLI_RESPONSE_MAX_BYTES:
            raise ExchangeError(f"the answer is longer than {CLI_RESPONSE_MAX_BYTES} bytes")
        return HttpResponse(status=answer.status, headers={name.lower(): value for name, value in answer.getheaders()}, body=body)

    def _connect(self, parts: SplitResult) -> tuple[http.client.HTTPConnection, str]:
        """A connection not yet open, and the request's target on it."""
        timeout = self._settings.timeout_s
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        if self._settings.address.startswith(_UNIX):
            return _UnixConnection(self._settings.address.removeprefix(_UNIX), timeout=timeout), target
        if parts.scheme not in ("http", "https"):
            raise ValueError(f'unsupported protocol scheme "{parts.scheme}"')
        if not parts.hostname:
            raise ValueError("no Host in request URL")
        proxy = _proxy(parts, self._settings, self._env)
        host, port = (proxy.hostname or "", proxy.port or 80) if proxy else (parts.hostname, parts.port or _default_port(parts))
        if parts.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=timeout), parts.geturl() if proxy else target
        connection = _TlsConnection(host, port, timeout=timeout, context=self._tls(), name=self._settings.tls.server_name or parts.hostname)
        if proxy:
            connection.set_tunnel(parts.hostname, parts.port or 443)
        return connection, target

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = tls_context(self._settings.tls)
        return self._context


def _takes_no_more(error: OSError) -> bool:
    """The other side has hung up."""
    import ssl

    return isinstance(error, BrokenPipeError | ConnectionResetError | ssl.SSLEOFError)


def _pour(answer: http.client.HTTPResponse, sink: Sink) -> None:
    sink.begin()
    while piece := answer.read(STREAM_CHUNK_BYTES):
        sink.write(piece)


def _write(connection: http.client.HTTPConnection, request: HttpRequest, target: str) -> None:
    connection.putrequest(request.method, target, skip_accept_encoding=True)
    for name, value in request.headers:
        connection.putheader(name, value)
    if request.upload is not None:
        connection.putheader("Content-Length", str(request.upload.seek(0, SEEK_END)))
        request.upload.seek(0)
        connection.endheaders(request.upload)
        return
    if request.body is not None or request.method in ("PUT", "POST", "PATCH"):
        connection.putheader("Content-Length", str(len(request.body or b"")))
    connection.endheaders(request.body)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, *, timeout: float | None) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class _TlsConnection(http.client.HTTPConnection):
    """TLS whose certificate must be for `name`, which need not be the host that is connected to."""

    default_port = 443

    def __init__(self, host: str, port: int, *, timeout: float | None, context: ssl.SSLContext, name: str) -> None:
        super().__init__(host, port, timeout=timeout)
        self._context = context
        self._name = name

    def connect(self) -> None:
        super().connect()
        self.sock = self._context.wrap_socket(self.sock, server_hostname=self._name)


def tls_context(tls: TlsSettings) -> ssl.SSLContext:
    """Raises Failure when a file cannot be used."""
    import ssl

    own = bool(tls.ca_cert or tls.ca_cert_pem or tls.ca_path)
    with _names_what_fails(tls.ca_cert or ("VAULT_CACERT_BYTES" if tls.ca_cert_pem else tls.ca_path)):
        context = ssl.create_default_context(
            cafile=tls.ca_cert or None,
            # A single file takes precedence over the folder, as the flags' help says.
            capath=None if tls.ca_cert or tls.ca_cert_pem else tls.ca_path or None,
            cadata=None if tls.ca_cert else tls.ca_cert_pem or None,
        )
        if own and tls.ca_path and not (tls.ca_cert or tls.ca_cert_pem):
            _load_folder(context, tls.ca_path)
    if tls.client_cert:
        with _names_what_fails(f"{tls.client_cert}, {tls.client_key}"):
            context.load_cert_chain(tls.client_cert, tls.client_key)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Newer Pythons refuse authorities without a key identifier, which Go's clients accept.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if tls.skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


@contextmanager
def _names_what_fails(source: str) -> Iterator[None]:
    """OpenSSL's errors do not say which file they are about."""
    try:
        yield
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, FileNotFoundError | PermissionError) else error
        raise Failure(f"failed to setup TLS config: {source}: {reason}", API) from error


def _load_folder(context: ssl.SSLContext, folder: str) -> None:
    """Every PEM file of a folder; OpenSSL by itself reads only files that are named by their hash."""
    import os
    import ssl

    for name in sorted(os.listdir(folder)):
        file = os.path.join(folder, name)
        if os.path.isfile(file):
            try:
                context.load_verify_locations(cafile=file)
            except ssl.SSLError as error:
                raise ValueError(f"error loading CA file {file}: {error}") from error


def _default_port(parts: SplitResult) -> int:
    return 443 if parts.scheme == "https" else 80


def _proxy(parts: SplitResult, settings: Settings, env: Mapping[str, str]) -> SplitResult | None:
    """The proxy on the way: Vault's own variable, or the usual ones; never for this machine itself or what NO_PROXY names."""
    if settings.proxy:
        return urlsplit(settings.proxy if "://" in settings.proxy else f"http://{settings.proxy}")
    host = parts.hostname or ""
    name = f"{parts.scheme}_proxy"
    url = env.get(name.upper()) or env.get(name) or ""
    if not url or host in _LOCAL or host.startswith("127."):
        return None
    excluded = [item.strip().lstrip(".") for item in (env.get("NO_PROXY") or env.get("no_proxy") or "").split(",") if item.strip()]
    if any(item == "*" or host == item or host.endswith(f".{item}") for item in excluded):
        return None
    return urlsplit(url if "://" in url else f"http://{url}")


def _reason(error: ValueError) -> str:
    """Without the value itself, which may be a secret."""
    is_header = isinstance(error, UnicodeError) or "header" in str(error)
    return "a header has characters that cannot be sent" if is_header else str(error)


def _verb(request: HttpRequest) -> str:
    return request.method.capitalize()


def _explain(request: HttpRequest, parts: SplitResult, error: Exception, settings: Settings) -> ExchangeError:
    """The failure in the words that Vault's users know from Go."""
    import ssl

    head = f'{_verb(request)} "{request.url}": '
    if isinstance(error, ssl.SSLCertVerificationError):
        why = "certificate signed by unknown authority" if error.verify_code in _UNKNOWN_AUTHORITY else error.verify_message
        return NotTrusted(f"{head}tls: failed to verify certificate: x509: {why}")
    if isinstance(error, ssl.SSLError):
        plain_http = error.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE")
        return NotTrusted(f"{head}http: server gave HTTP response to HTTPS client" if plain_http else f"{head}tls: {error.reason or error}")
    if isinstance(error, TimeoutError):
        return CannotConnect(f"{head}context deadline exceeded")
    if isinstance(error, http.client.HTTPException):
        if isinstance(error, http.client.RemoteDisconnected):
            return CannotConnect(f"{head}EOF")
        if isinstance(error, http.client.IncompleteRead):
            return CannotConnect(f"{head}unexpected EOF")
        return CannotConnect(f"{head}malformed HTTP response: {error}")
    if isinstance(error, socket.gaierror):
        what = "no such host" if error.errno in (socket.EAI_NONAME, socket.EAI_NODATA) else error.strerror
        return CannotConnect(f"{head}dial tcp: lookup {parts.hostname}: {what}")
    return CannotConnect(f"{head}{_dial(error, parts, settings)}")


def _dial(error: Exception, parts: SplitResult, settings: Settings) -> str:
    what = (error.strerror if isinstance(error, OSError) else None) or str(error)
    what = what[:1].lower() + what[1:]
    if settings.address.startswith(_UNIX):
        return f"dial unix {settings.address.removeprefix(_UNIX)}: connect: {what}"
    if isinstance(error, (ConnectionResetError, BrokenPipeError)):
        return what
    host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname
    return f"dial tcp {host}:{parts.port or _default_port(parts)}: connect: {what}"
