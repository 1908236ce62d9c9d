"""Keys and certificates that nodes make for each other."""
import datetime

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from tests.unit.cluster.nodes import NOW_MS, drawing

from holdfast.cluster import Alpn, Credentials, Identity, LinkError, new_identity
from holdfast.cluster.identity import _ORDER
from holdfast.cluster.tls_port import tls_of
from holdfast.crypto import Secret


def identity(seed: str = "seed") -> Identity:
    return new_identity("fw-1f2e", now_ms=NOW_MS, draw=drawing(seed))


def test_a_certificate_is_as_vaults() -> None:
    """facts: CN = DNS SAN = name, P-521, valid from 30 s before, CA and server and client in one."""
    made = identity()
    certificate = x509.load_der_x509_certificate(made.certificate)
    now = datetime.datetime.fromtimestamp(NOW_MS // 1000, datetime.UTC)
    assert certificate.subject == certificate.issuer
    assert certificate.subject.rfc4514_string() == "CN=fw-1f2e"
    assert certificate.not_valid_before_utc == now - datetime.timedelta(seconds=30)
    assert certificate.not_valid_after_utc > now + datetime.timedelta(days=365 * 29)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["fw-1f2e"]
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(usage) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    certificate.verify_directly_issued_by(certificate)
    key = serialization.load_der_private_key(made.key.value, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.curve.name == "secp521r1"
    assert key.public_key() == certificate.public_key()


def test_all_randomness_is_the_callers() -> None:
    assert identity("one") == identity("one")
    assert identity("one").certificate != identity("two").certificate
    assert identity("one").key != identity("two").key


def test_the_order_of_the_curve() -> None:
    ec.derive_private_key(_ORDER - 1, ec.SECP521R1())
    with pytest.raises(ValueError, match="Invalid"):
        ec.derive_private_key(_ORDER, ec.SECP521R1())


def test_no_representation_shows_the_key() -> None:
    made = identity()
    shown = repr(Credentials(own=made, accepts=(made.certificate,)))
    assert "Secret(…)" in shown
    assert repr(made.key.value)[2:30] not in shown


def test_an_identity_travels_as_a_record() -> None:
    made = identity()
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(made), type=Identity) == made


@pytest.mark.parametrize("broken", [
    Identity(name="fw-x", key=identity("two").key, certificate=identity("one").certificate),
    Identity(name="fw-x", key=Secret(b"no key"), certificate=identity("one").certificate),
    Identity(name="fw-x", key=identity("one").key, certificate=b"no certificate"),
])
def test_a_key_and_a_certificate_that_are_no_pair_are_refused(broken: Identity) -> None:
    with pytest.raises(LinkError, match="identity fw-x: ") as raised:
        tls_of(Alpn.RAFT, Credentials(own=broken, accepts=()))
    assert "no key" not in raised.value.why
