"""X-Vault-Index: the WAL index as Vault's clients carry it about.

base64 of `v1:<cluster id>:<local index>:<replicated index>:<HMAC-SHA256 of what is before it, hex>`. Clients parse and compare it,
but cannot make one. Source: Vault, "Eventual consistency".
"""
import base64
import binascii
import hmac

import msgspec

from holdfast.engine import Table, Txn
from holdfast.errors import BadRequest
from holdfast.ids import Index


class StateKey(msgspec.Struct, frozen=True):
    """Made at init; the same at every node."""

    cluster_id: str
    key: bytes


KEY = Table("core/index-header-hmac-key", StateKey, cached=True)
STATE_MAX_LENGTH = 512                               # a genuine one has about 160 characters


def show(txn: Txn, index: Index) -> str:
    """The header's value for a response that left the cluster at `index`."""
    known = KEY.get(txn)
    assert known is not None, "an unsealed node has its keys"
    text = f"v1:{known.cluster_id}:{index}:0"
    return base64.b64encode(f"{text}:{hmac.digest(known.key, text.encode(), 'sha256').hex()}".encode()).decode()


def read(txn: Txn, state: str) -> Index:
    """The index that a client names. Raises BadRequest where it is not one that this cluster gave."""
    known = KEY.get(txn)
    assert known is not None, "an unsealed node has its keys"
    try:
        text, _, mac = base64.b64decode(state[:STATE_MAX_LENGTH], validate=True).decode().rpartition(":")
        version, cluster, local, _ = text.split(":")
        genuine = hmac.compare_digest(mac, hmac.digest(known.key, text.encode(), "sha256").hex())
        if version == "v1" and genuine and cluster == known.cluster_id:
            return Index(int(local))
    except (binascii.Error, ValueError):
        pass                                         # refused below, with the forged ones
    raise BadRequest("X-Vault-Index: not a state of this cluster")
