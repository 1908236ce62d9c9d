"""Who this cluster is: its name and id, made at init."""
import msgspec

from holdfast.engine import Rng, Table


class ClusterInfo(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    id: str


CLUSTER = Table("core/cluster/local/", ClusterInfo, cached=True)
INFO = "info"


def new_cluster(rng: Rng) -> ClusterInfo:
    """A name as Vault makes them, and a random id."""
    return ClusterInfo(name=f"vault-cluster-{rng.bytes(4).hex()}", id=rng.uuid())
