"""Calls to another node's API, for a node that is to join its cluster."""
import asyncio
import http.client
import ssl
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from holdfast.crypto import Secret
from holdfast.limits import JOIN_CALL_S, JOIN_REPLY_MAX_BYTES
from holdfast.version import VERSION


class ApiError(Exception):
    """The other node refuses, or does not say what was asked for."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where, and how its certificate is checked. Certificates and key as PEM; none: the system's authorities."""

    address: str
    ca_cert: str = ""
    client_cert: str = ""
    client_key: Secret | None = None
    server_name: str = ""


ERROR_CHARS = 200                                    # of an answer that is none of Vault's API: of a proxy, or of TLS asked without


class _Refusal(msgspec.Struct):
    errors: tuple[str, ...] = ()


async def post(target: Target, path: str, body: bytes) -> bytes:
    """The answer's body. Raises ApiError, OSError."""
    return await asyncio.to_thread(_post, target, path, body)


def _post(target: Target, path: str, body: bytes) -> bytes:
    try:
        parts = urlsplit(target.address)
        port = parts.port
    except ValueError as error:
        raise ApiError(f"{target.address!r} is no address: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ApiError(f"{target.address!r} is no address: https://host:port is one")
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        connection = _TlsConnection(parts.hostname, port or 443, _context(target), target.server_name or parts.hostname)
    else:
        connection = http.client.HTTPConnection(parts.hostname, port or 80, timeout=JOIN_CALL_S)
    try:
        connection.request("POST", f"/v1/{path}", body, {
            "Content-Type": "application/json", "X-Vault-Request": "true", "User-Agent": f"holdfast/{VERSION}"})
        response = connection.getresponse()
        answer = response.read(JOIN_REPLY_MAX_BYTES + 1)
    except (http.client.HTTPException, OSError) as error:
        raise ApiError(f"{target.address}: {error or type(error).__name__}") from error
    finally:
        connection.close()
    if len(answer) > JOIN_REPLY_MAX_BYTES:
        raise ApiError(f"{target.address}: an answer of more than {JOIN_REPLY_MAX_BYTES} bytes")
    if response.status != 200:
        raise ApiError(f"{target.address}: {response.status} {_errors(answer)}")
    return answer


class _TlsConnection(http.client.HTTPSConnection):
    """Checks the certificate against a name that may be another than the address."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext, server_name: str) -> None:
        super().__init__(host, port, timeout=JOIN_CALL_S, context=context)
        self._own_context, self._server_name = context, server_name

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        self.sock = self._own_context.wrap_socket(self.sock, server_hostname=self._server_name)


def _context(target: Target) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cadata=target.ca_cert or None)
        if target.client_cert and target.client_key is not None:
            with tempfile.TemporaryDirectory(prefix="holdfast-") as folder:      # the library reads certificates from files alone
                certificate, key = Path(folder) / "certificate", Path(folder) / "key"
                certificate.write_text(target.client_cert)
                key.touch(mode=0o600)
                key.write_bytes(target.client_key.value)
                context.load_cert_chain(certificate, key)
    except (ssl.SSLError, OSError) as error:
        raise ApiError(f"certificates for {target.address}: {error}") from error
    return context


def _errors(body: bytes) -> str:
    try:
        return ", ".join(msgspec.json.decode(body, type=_Refusal).errors)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        text = "".join(each for each in body[:ERROR_CHARS].decode(errors="replace") if each.isprintable()).strip()
        return text or "with no reason given"
