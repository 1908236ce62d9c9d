"""Brings a replica up to its log, at the start of a node.

Invariant: when it returns, the replica stands at the log's last durable batch, whatever it held before.
"""
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Protocol

from holdfast.ids import Index
from holdfast.limits import CATCH_UP_BATCHES
from holdfast.storage import Snapshot, WriteBatch


class Replica(Protocol):
    @property
    def index(self) -> Index: ...
    def apply(self, batches: Sequence[WriteBatch]) -> None: ...
    async def install(self, snapshot: Snapshot) -> None: ...
    def clear(self) -> None: ...


class DurableLog(Protocol):
    @property
    def durable_index(self) -> Index: ...
    def follow(self, after: Index) -> AsyncIterator[WriteBatch | Snapshot]: ...


async def catch_up(replica: Replica, log: DurableLog) -> None:
    """Installs the checkpoint if the replica needs one, and applies what follows. Raises what following and applying raise."""
    through = log.durable_index
    if replica.index > through:
        replica.clear()                                  # it was not made from this log
    if replica.index == through:
        return
    group: list[WriteBatch] = []
    following = log.follow(replica.index)
    try:
        async for item in following:
            if isinstance(item, Snapshot):
                group = []                               # a state that was put back takes the place of all that came before it
                await replica.install(item)
            else:
                group.append(item)
            at = item.index
            if group and (at >= through or len(group) >= CATCH_UP_BATCHES):
                replica.apply(group)
                group = []
            if at >= through:
                return
    finally:
        if isinstance(following, AsyncGenerator):
            await following.aclose()
