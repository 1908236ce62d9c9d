"""What tokens look like to those who carry them.

| form | what it is |
| --- | --- |
| `hvs.CAESI…` (95 characters and more) | a service token that names the state it can be found in |
| `hvs.` and 24 characters | a root token of `sys/init`: it is in every state |
| `hvb.…` | a batch token: nothing is stored, its claims are sealed in it |
| `hvr.…` | reserved for recovery tokens |
| anything else | an id that somebody with sudo chose when the token was made |

The first is base64url without padding of the protobuf message SignedToken {version = 1, hmac, token}, whose `token` is Token {random,
local_index, index_epoch}, and `random` is in the second form. Clients and proxies parse it, so it is Vault's, byte for byte; nobody but the
cluster can make one.
Source: Vault, "Server side consistent tokens".
"""
import base64
import binascii

from holdfast.crypto import HmacSha256
from holdfast.ids import Index

SERVICE, BATCH, RECOVERY = "hvs.", "hvb.", "hvr."
ROOT_LENGTH = len(SERVICE) + 24
VERSION = 1
SIGNED_HEAD = b"\x08\x01\x12\x20"                    # version 1; an hmac of 32 bytes
TOKEN_TAG = 0x1A
RANDOM_TAG, INDEX_TAG = 0x0A, 0x10


def service(random: str, index: Index, key: HmacSha256) -> str:
    """The text of a service token that is found from batch `index` on."""
    name = (SERVICE + random).encode()
    token = bytes((RANDOM_TAG, len(name))) + name
    if index:
        token += bytes((INDEX_TAG,)) + _varint(index)
    signed = SIGNED_HEAD + key.of(token) + bytes((TOKEN_TAG, len(token))) + token
    return SERVICE + base64.urlsafe_b64encode(signed).rstrip(b"=").decode()


def index_of(text: bytes, key: HmacSha256) -> Index | None:
    """The batch that made this token. None: it is no service token with an index, or not one of this cluster's."""
    if not text.startswith(SERVICE.encode()) or len(text) <= ROOT_LENGTH:
        return None
    body = text[len(SERVICE):]
    try:
        signed = base64.b64decode(body + b"=" * (-len(body) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        return None
    at = len(SIGNED_HEAD) + 32
    token = signed[at + 2:]
    if not signed.startswith(SIGNED_HEAD) or signed[at:at + 2] != bytes((TOKEN_TAG, len(token) & 0xFF)):
        return None
    if not key.proves(token, signed[len(SIGNED_HEAD):at]):
        return None
    return _read_index(token)                            # genuine, so it is as `service` wrote it


def batch(sealed: bytes) -> str:
    """The text of a batch token."""
    return BATCH + base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()


def batch_body(text: bytes) -> bytes | None:
    """What was sealed in a batch token. None: it is no batch token."""
    body = text[len(BATCH):]
    try:
        return base64.b64decode(body + b"=" * (-len(body) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        return None


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _read_index(token: bytes) -> Index:
    at = 2 + token[1]
    if token[at:at + 1] != bytes((INDEX_TAG,)):
        return Index(0)
    number = shift = 0
    for byte in token[at + 1:]:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    return Index(number)
