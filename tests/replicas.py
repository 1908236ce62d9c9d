"""What stands in a replica."""
from __future__ import annotations

from holdfast.replica.lmdb import LmdbReplica


def content(replica: LmdbReplica) -> dict[str, bytes | None]:
    """Every key of its newest state, with its value as it is stored."""
    reader = replica.open()
    try:
        return {key: reader.get(key) for key in reader.keys("")}
    finally:
        reader.close()
