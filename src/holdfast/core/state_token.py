"""X-Vault-Index: the WAL index as Vault's clients carry it about.

base64 of `v1:<cluster id>:<local index>:<replicated index>:<HMAC-SHA256 of what is before it, hex>`. Clients parse and compare it,
but cannot make one. Source: Vault, "Eventual consistency".
"""
import base64
import binascii

import msgspec

from holdfast.crypto import HmacSha256, Secret
from holdfast.engine import Table, Txn
from holdfast.errors import BadRequest, InvariantError
from holdfast.ids import Index
from holdfast.limits import STATE_TEXT_MAX


class StateKey(msgspec.Struct, frozen=True):
    """Made at init; the same at every node."""

    cluster_id: str
    key: bytes


KEY = Table("core/index-header-hmac-key", StateKey)


class Signer(msgspec.Struct, frozen=True, eq=False):
    """Makes and reads the states of one cluster."""

    cluster_id: str
    mac: HmacSha256

    def show(self, index: Index) -> str:
        """The state in which everything up to this batch is there."""
        text = f"v1:{self.cluster_id}:{index}:0"
        return base64.b64encode(f"{text}:{self.mac.hex(text)}".encode()).decode()

    def read(self, state: str) -> Index:
        """The inverse of `show`. Raises BadRequest: not one of this cluster's."""
        try:
            text, _, tag = base64.b64decode(state[:STATE_TEXT_MAX], validate=True).decode().rpartition(":")
            version, cluster, local, _ = text.split(":")
            genuine = self.mac.proves(text.encode(), bytes.fromhex(tag))
            if version == "v1" and genuine and cluster == self.cluster_id:
                return Index(int(local))
        except (binascii.Error, ValueError):
            pass                                         # refused below, with the forged ones
        raise BadRequest("X-Vault-Index: not a state of this cluster")


def load_signer(txn: Txn) -> Signer:
    """For `txn.derive`."""
    known = KEY.get(txn)
    if known is None:
        raise InvariantError("an initialised store has a state key")
    return Signer(known.cluster_id, HmacSha256(Secret(known.key)))


def read(txn: Txn, state: str) -> Index:
    """The index that a client names. Raises BadRequest where it is not one that this cluster gave."""
    return txn.derive(load_signer).read(state)
