"""Whom a request is from, when a proxy says so: X-Forwarded-For, and a header with the client's certificate.

Invariants: (1) nothing is believed from who is not authorized; (2) without `x_forwarded_for_authorized_addrs` neither header is looked at.
"""
import base64
import binascii
from urllib.parse import unquote_to_bytes

from msgspec.structs import replace

from holdfast.config.settings import Listener as Settings
from holdfast.engine import Client
from holdfast.errors import BadRequest
from holdfast.http.networks import Networks, normal

FORWARDED_FOR = "x-forwarded-for"


class Forwarded:
    """The rules of one listener."""

    def __init__(self, settings: Settings) -> None:
        self._authorized = Networks(settings.x_forwarded_for_authorized_addrs)
        self._skips = settings.x_forwarded_for_hop_skips
        self._refuses_unauthorized = settings.x_forwarded_for_reject_not_authorized
        self._refuses_absent = settings.x_forwarded_for_reject_not_present
        self._certificate_header = settings.x_forwarded_for_client_cert_header.lower()
        self._decoders = tuple(name.upper() for name in settings.x_forwarded_for_client_cert_header_decoders)
        if self._certificate_header:
            from cryptography.x509 import load_der_x509_certificate  # here: slow to import, and few have such a proxy

            self._parse = load_der_x509_certificate

    def client(self, peer: Client, headers: list[tuple[str, bytes]]) -> Client:
        """The client that `peer` speaks for, or `peer`. Raises BadRequest."""
        values = [value for name, value in headers if name == FORWARDED_FOR]
        if not values:
            if self._refuses_absent:
                raise BadRequest("missing x-forwarded-for header and configured to reject when not present")
            return peer
        if peer.address not in self._authorized:
            if self._refuses_unauthorized:
                raise BadRequest("client address not authorized for x-forwarded-for and configured to reject connection")
            return peer
        return replace(peer, address=self._address(values), certificate=self._certificate(headers) or peer.certificate)

    def _address(self, values: list[bytes]) -> str:
        chain = [hop.strip() for value in values for hop in value.decode("latin-1").split(",")]
        index = len(chain) - 1 - self._skips
        if index < 0:
            raise BadRequest(f"malformed x-forwarded-for configuration or request, hops to skip ({self._skips}) would skip before earliest "
                             f"chain link (chain length {len(chain)})")
        try:
            return normal(chain[index].strip("[]"))
        except ValueError as error:
            raise BadRequest("malformed x-forwarded-for header: not an address") from error

    def _certificate(self, headers: list[tuple[str, bytes]]) -> bytes | None:
        """As DER. The proxy has seen that the client holds the key; we believe it."""
        if not self._certificate_header:
            return None
        values = [value for name, value in headers if name == self._certificate_header and value]
        if not values:
            return None
        if len(values) > 1:
            raise BadRequest(f"more than one {self._certificate_header} header")
        found = values[0]
        for decoder in self._decoders:
            found = _decoded(found, decoder)
        try:
            self._parse(found)
        except ValueError as error:
            raise BadRequest(f"{self._certificate_header} header: no certificate") from error
        return found


def _decoded(value: bytes, decoder: str) -> bytes:
    """One step of `x_forwarded_for_client_cert_header_decoders`."""
    try:
        match decoder:
            case "BASE64":
                return base64.b64decode(value, validate=True)
            case "URL":
                return unquote_to_bytes(value)
            case _:                                      # DER: the certificate inside of a PEM block
                begin, end = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"
                body = value.partition(begin)[2].partition(end)[0]
                return base64.b64decode(b"".join(body.split()), validate=True)
    except binascii.Error as error:
        raise BadRequest(f"client certificate header: not {decoder}") from error
