"""Passwords as bcrypt hashes: pure functions, each but `check_hash` for `ctx.heavy`."""
import base64
import re

import bcrypt

from holdfast.errors import BadRequest
from holdfast.limits import BCRYPT_COST, BCRYPT_COST_MAX, BCRYPT_COST_MIN, BCRYPT_PASSWORD_MAX_BYTES

NOBODY = b"$2b$10$S1n/RHpgY2dJZUxHR0dkZO2ZlY6hgqzQjLMlPzU5/G1YcnUZDnPSa"
"""A hash that no password has: checked for an unknown user, so that the time an answer takes tells nothing."""
SALT_BYTES = 16
_HASH = re.compile(r"\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{53}")
_ALPHABET = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
                            b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")


def hashed(password: str, salt: bytes) -> bytes:
    """The hash to keep. `salt`: 16 random bytes."""
    text = base64.b64encode(salt).rstrip(b"=").translate(_ALPHABET)
    return bcrypt.hashpw(password.encode(), b"$2b$%02d$%b" % (BCRYPT_COST, text))


def matches(password: str, password_hash: bytes) -> bool:
    """In constant time for one hash. Beyond 72 bytes bcrypt sees nothing, nor did whoever made a hash that was handed in."""
    return bcrypt.checkpw(password.encode()[:BCRYPT_PASSWORD_MAX_BYTES], password_hash)


def check_password(password: str) -> None:
    """Raises BadRequest: longer than bcrypt looks at."""
    if len(password.encode()) > BCRYPT_PASSWORD_MAX_BYTES:
        raise BadRequest(f"password length exceeds {BCRYPT_PASSWORD_MAX_BYTES} bytes")


def check_hash(text: str) -> bytes:
    """A hash made elsewhere. Raises BadRequest: it is none, or its cost is out of range."""
    found = _HASH.fullmatch(text)
    if found is None:
        raise BadRequest("password_hash is not a valid bcrypt hash")
    if not BCRYPT_COST_MIN <= int(found[1]) <= BCRYPT_COST_MAX:
        raise BadRequest(f"password_hash: a bcrypt cost of {int(found[1])} is not between {BCRYPT_COST_MIN} and {BCRYPT_COST_MAX}")
    return text.encode()
