"""What a node for trying things does by itself: initialise, unseal, mount KV at secret/. Source: Vault, "Dev server mode"."""
import base64
import datetime
import ipaddress
from collections.abc import Sequence
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from holdfast.crypto import NewCluster, new_shamir_cluster
from holdfast.engine import Client, Method, Reply, Request, Rng
from holdfast.errors import InvariantError
from holdfast.ids import Millis, RequestId
from holdfast.node.main import Main

DEV_CA, DEV_CERT, DEV_KEY = "vault-ca.pem", "vault-cert.pem", "vault-key.pem"      # Vault's names: scripts look for them
VALID = datetime.timedelta(days=30)
CLOCK_SKEW = datetime.timedelta(minutes=1)


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    root_token: str
    unseal_key: str


async def begin_dev(main: Main, *, root_token: str, kv: str) -> Begun:
    """`kv`: version of the engine at secret/; "": none."""

    def new(rng: Rng, now_ms: Millis) -> NewCluster:
        return new_shamir_cluster(shares=1, threshold=1, draw=rng.bytes, now_ms=now_ms)

    made, token = await main.initialise(new, root_token=root_token)
    await main.offer_share(made.shares[0])
    if kv:
        body = msgspec.json.encode({"type": "kv", "description": "key/value secret storage", "options": {"version": kv}})
        served = await main.answer(Request(id=RequestId("dev"), method=Method.POST, path="sys/mounts/secret", body=body, token=token,
                                           client=Client(address="127.0.0.1")))
        if not isinstance(served, Reply) or served.status >= 400:
            raise InvariantError("secret/ could not be mounted")
    return Begun(root_token=token.value.decode(), unseal_key=base64.b64encode(made.shares[0].value).decode())


def write_dev_certificate(folder: Path, names: Sequence[str]) -> None:
    """A throw-away authority, and a certificate for localhost and `names` (host names or addresses)."""
    now = datetime.datetime.now(datetime.UTC)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Holdfast dev authority")])
    ca = _certificate(issuer, issuer, ca_key.public_key(), now).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True).sign(ca_key, hashes.SHA256())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    alternative = x509.SubjectAlternativeName([_name(name) for name in ("localhost", "127.0.0.1", "::1", *names)])
    leaf = _certificate(subject, issuer, key.public_key(), now).add_extension(alternative, critical=False).sign(ca_key, hashes.SHA256())
    (folder / DEV_CA).write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    (folder / DEV_CERT).write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / DEV_KEY).touch(mode=0o600)
    (folder / DEV_KEY).write_bytes(private)


def _certificate(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime.datetime) -> x509.CertificateBuilder:
    return (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key).serial_number(x509.random_serial_number())
            .not_valid_before(now - CLOCK_SKEW).not_valid_after(now + VALID))


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)
