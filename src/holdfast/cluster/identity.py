"""Keys and certificates between nodes: made here, handed over by those whom a node trusts, pinned by the other side.

An identity signs itself and belongs to nobody's chain: whoever was given its certificate takes exactly that one.
"""
import datetime

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from holdfast.crypto import Draw, Secret
from holdfast.ids import Millis

# FIPS 186-5, A.2.1: 64 bits more than the order has, reduced, so that no key is favoured.
_KEY_DRAW_BYTES = 74
_ORDER = (1 << 521) - 0x5AE79787C40D069948033FEB708F65A2FC44A36477663B851449048E16EC79BF7   # of P-521: SP 800-186, 3.2.1.5
_SERIAL_BYTES = 16
_BACKDATED = datetime.timedelta(seconds=30)
_LIFETIME = datetime.timedelta(hours=262_980)        # Vault's: 30 years; those of an active node end with its term


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """A name, the key for it and the certificate that shows it."""

    name: str                                        # `fw-<uuid>`, `raft-<uuid>`, …
    key: Secret                                      # PKCS #8, DER
    certificate: bytes                               # DER


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """What this node shows on a link, and whom it takes: the same rule for both directions."""

    own: Identity
    accepts: tuple[bytes, ...]                       # certificates of the other side, DER; compared byte for byte, nothing else counts


def new_identity(name: str, *, now_ms: Millis, draw: Draw) -> Identity:
    """A P-521 key with a certificate that it signs itself, for server and client. The same draws, the same identity.

    `name` must be one that a DNS name can be. Valid from 30 s before `now_ms` (wall clock). Source: the certificates of Vault's nodes.
    """
    # CertificateBuilder.sign takes nonces from the key and the message alone (RFC 6979): no other source of randomness is left.
    number = int.from_bytes(draw(_KEY_DRAW_BYTES)) % (_ORDER - 1) + 1
    key = ec.derive_private_key(number, ec.SECP521R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    start = datetime.datetime.fromtimestamp(now_ms // 1000, datetime.UTC) - _BACKDATED
    usage = x509.KeyUsage(digital_signature=True, content_commitment=False, key_encipherment=True, data_encipherment=False,
                          key_agreement=True, key_cert_sign=True, crl_sign=False, encipher_only=False, decipher_only=False)
    builder = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(int.from_bytes(draw(_SERIAL_BYTES)) >> 1 | 1)
        .not_valid_before(start).not_valid_after(start + _LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False))
    certificate = builder.sign(key, hashes.SHA512(), ecdsa_deterministic=True)
    return Identity(
        name=name, certificate=certificate.public_bytes(serialization.Encoding.DER),
        key=Secret(key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())))
