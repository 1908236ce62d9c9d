"""X-Forwarded-For, and the certificate that a proxy hands on."""
import base64
from urllib.parse import quote

import pytest
from msgspec.structs import replace
from tests.unit.http.certificates import Pair
from tests.unit.http.wire import PLAIN

from holdfast.config.settings import TcpListener
from holdfast.engine import Client
from holdfast.errors import BadRequest
from holdfast.http.forwarded import Forwarded

PROXY = Client(address="10.0.0.5", port=40_000)
STRANGER = Client(address="192.0.2.1", port=40_000)
SETTINGS = replace(PLAIN, x_forwarded_for_authorized_addrs=("10.0.0.0/8", "2001:db8::/32"))


def client(peer: Client, *values: str, settings: TcpListener = SETTINGS, **others: bytes) -> Client:
    headers = [("x-forwarded-for", value.encode()) for value in values]
    return Forwarded(settings).client(peer, headers + [(name.replace("_", "-"), value) for name, value in others.items()])


@pytest.mark.parametrize(("values", "skips", "address"), [
    (("198.51.100.1",), 0, "198.51.100.1"),
    (("198.51.100.1, 198.51.100.2",), 0, "198.51.100.2"),
    (("198.51.100.1, 198.51.100.2",), 1, "198.51.100.1"),
    (("198.51.100.1,198.51.100.2", "198.51.100.3"), 0, "198.51.100.3"),
    (("198.51.100.1,198.51.100.2", "198.51.100.3"), 2, "198.51.100.1"),
    (("2001:DB8::1",), 0, "2001:db8::1"),
    (("[2001:db8::1]",), 0, "2001:db8::1"),
    (("::ffff:198.51.100.1",), 0, "198.51.100.1"),
])
def test_the_client_is_so_many_hops_away(values: tuple[str, ...], skips: int, address: str) -> None:
    found = client(PROXY, *values, settings=replace(SETTINGS, x_forwarded_for_hop_skips=skips))
    assert (found.address, found.port) == (address, 40_000)


def test_an_authorized_address_of_ipv6() -> None:
    assert client(Client(address="2001:db8::5"), "198.51.100.1").address == "198.51.100.1"


@pytest.mark.parametrize(("peer", "values", "message"), [
    (PROXY, (), "missing x-forwarded-for header and configured to reject when not present"),
    (STRANGER, (), "missing x-forwarded-for header"),
    (STRANGER, ("198.51.100.1",), "client address not authorized for x-forwarded-for and configured to reject connection"),
    (Client(address=""), ("198.51.100.1",), "client address not authorized"),
    (PROXY, ("nonsense",), "not an address"),
    (PROXY, ("",), "not an address"),
    (PROXY, ("198.51.100.1:80",), "not an address"),
])
def test_who_does_not_fit_is_refused(peer: Client, values: tuple[str, ...], message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        client(peer, *values)


def test_a_chain_that_is_too_short_is_refused() -> None:
    with pytest.raises(BadRequest, match=r"hops to skip \(2\) would skip before earliest chain link \(chain length 2\)"):
        client(PROXY, "198.51.100.1, 198.51.100.2", settings=replace(SETTINGS, x_forwarded_for_hop_skips=2))


def test_who_does_not_fit_may_be_taken_for_himself() -> None:
    lenient = replace(SETTINGS, x_forwarded_for_reject_not_authorized=False, x_forwarded_for_reject_not_present=False)
    assert client(PROXY, settings=lenient) == PROXY
    assert client(STRANGER, "198.51.100.1", settings=lenient) == STRANGER


@pytest.mark.parametrize("decoders", [("BASE64",), ("URL", "BASE64"), ("URL", "DER"), ("DER",)])
def test_a_certificate_is_handed_on(decoders: tuple[str, ...]) -> None:
    pair = Pair("someone", Pair("authority"), client=True)
    encoded = base64.b64encode(pair.der)
    if "DER" in decoders:
        encoded = pair.pem if decoders[0] == "URL" else pair.pem.replace(b"\n", b" ")
    if "URL" in decoders:
        encoded = quote(encoded).encode()
    settings = replace(SETTINGS, x_forwarded_for_client_cert_header="X-Client-Cert", x_forwarded_for_client_cert_header_decoders=decoders,
                       x_forwarded_for_reject_not_authorized=False)
    assert client(PROXY, "198.51.100.1", settings=settings, x_client_cert=encoded).certificate == pair.der
    assert client(STRANGER, "198.51.100.1", settings=settings, x_client_cert=encoded).certificate is None
    assert client(PROXY, "198.51.100.1", x_client_cert=encoded).certificate is None


@pytest.mark.parametrize("value", [b"nonsense!", base64.b64encode(b"nonsense"), b"%zz"])
def test_a_certificate_that_is_none(value: bytes) -> None:
    settings = replace(SETTINGS, x_forwarded_for_client_cert_header="X-Client-Cert",
                       x_forwarded_for_client_cert_header_decoders=("BASE64",))
    with pytest.raises(BadRequest, match=r"client.cert"):
        client(PROXY, "198.51.100.1", settings=settings, x_client_cert=value)


def test_two_certificates_are_none() -> None:
    settings = replace(SETTINGS, x_forwarded_for_client_cert_header="X-Client-Cert")
    headers = [("x-forwarded-for", b"198.51.100.1"), ("x-client-cert", b"a"), ("x-client-cert", b"b")]
    with pytest.raises(BadRequest, match="more than one x-client-cert header"):
        Forwarded(settings).client(PROXY, headers)
