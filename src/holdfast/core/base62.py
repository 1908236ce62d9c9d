"""Random names in base 62: tokens, accessors, lease ids. 24 characters carry 142 bits."""
from holdfast.engine import Rng

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
LENGTH = 24
FAIR = 256 - 256 % len(ALPHABET)                     # bytes from here on would favour some characters


def random_name(rng: Rng) -> str:
    """LENGTH characters, each of them uniform."""
    found: list[str] = []
    while len(found) < LENGTH:
        found += [ALPHABET[byte % len(ALPHABET)] for byte in rng.bytes(LENGTH + LENGTH // 4) if byte < FAIR]
    return "".join(found[:LENGTH])
