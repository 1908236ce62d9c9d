"""Hashing what goes into an audit entry: every string below `data` is replaced by its HMAC, so that an entry can be searched for a value
that is known, and tells nothing of one that is not.

Invariants: (1) keys of objects, numbers, booleans and null stay as they are, and strings never do, unless their nearest key is exempt
(`audit_non_hmac_request_keys`, `…_response_keys` of the mount); (2) nothing but decoded JSON is hashed, so the hash of a value is that of
its UTF-8 text, as `sys/audit-hash` gives it. Unlike Vault, times are hashed, too: JSON cannot tell one from another string.
"""
from collections.abc import Callable, Mapping, Set
from typing import TypeAlias

import msgspec

from holdfast.crypto import HmacSha256, Secret

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"
Hash: TypeAlias = Callable[[str], str]
HashText: TypeAlias = Callable[[bytes], bytes | None]

LABEL = "hmac-sha256:"
TOO_DEEP: Mapping[str, Json] = {"unreadable": True}
"""Stands for an object that is nested too deep to be walked."""


def hasher(salt: Secret) -> Hash:
    """The hash of one device: `hmac-sha256:` and 64 hex digits."""
    return HmacSha256(salt).labelled(LABEL)


def text_hasher(salt: Secret) -> HashText:
    """The same for the text of a JSON object, which is known to be JSON: every string in it hashed, at a third of the cost of `read_object`
    and `hash_object`. None: those have to do it (an empty object, or a string with an escape)."""
    return HmacSha256(salt).of_json(LABEL)


def read_object(text: bytes | msgspec.Raw) -> dict[str, Json] | None:
    """A JSON object as Python has it; None if these bytes are no JSON object."""
    try:
        tree = _decode(text)
    except msgspec.DecodeError:
        return None
    except RecursionError:
        return dict(TOO_DEEP)
    return tree if type(tree) is dict else None


def hash_object(tree: Mapping[str, Json], hashed: Hash, plain: Set[str]) -> dict[str, Json]:
    """The object with every string hashed but those whose nearest key is in `plain`."""
    out: dict[str, Json] = {}
    for key, value in tree.items():
        kind = type(value)
        if kind is str:
            out[key] = value if key in plain else hashed(value)                 # type: ignore[arg-type]
        elif kind is dict:
            out[key] = hash_object(value, hashed, plain)                        # type: ignore[arg-type]
        elif kind is list:
            out[key] = _list(value, hashed, plain, key in plain)                # type: ignore[arg-type]
        else:
            out[key] = value
    return out


def elided(tree: Mapping[str, Json]) -> Mapping[str, Json]:
    """The answer of a LIST with the numbers of its entries in their place (`elide_list_responses`)."""
    counts: dict[str, Json] = {name: len(value) for name in ("keys", "key_info") if isinstance(value := tree.get(name), list | dict)}
    return {**tree, **counts}


def _list(values: list[Json], hashed: Hash, plain: Set[str], exempt: bool) -> list[Json]:
    out: list[Json] = []
    for value in values:
        if isinstance(value, str):
            out.append(value if exempt else hashed(value))
        elif isinstance(value, dict):
            out.append(hash_object(value, hashed, plain))
        elif isinstance(value, list):
            out.append(_list(value, hashed, plain, exempt))
        else:
            out.append(value)
    return out


_decode = msgspec.json.Decoder().decode
