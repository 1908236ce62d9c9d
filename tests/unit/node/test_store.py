"""What a node opens, and what it refuses."""
import asyncio
from pathlib import Path

import pytest

from holdfast.config.settings import StorageStanza
from holdfast.ids import Millis
from holdfast.node.store import StorageError, open_store
from holdfast.storage.raft import RaftLog


def test_a_folder_belongs_to_the_member_that_its_log_names(tmp_path: Path) -> None:
    """Under another node_id it served, and nobody could remove it; active, it was taken for dead by its own autopilot."""
    async def begin(node_id: str, *, first: bool = False) -> None:
        store = await open_store(StorageStanza(type="raft", options={"path": str(tmp_path), "node_id": node_id}), lambda: Millis(0))
        if first:
            assert isinstance(store.log, RaftLog)
            store.log.bootstrap("127.0.0.1:8201")
        await store.close()

    asyncio.run(begin("one", first=True))
    for _ in range(2):
        with pytest.raises(StorageError, match='this node is "two" by its node_id, and its folder is that of the member "one"'):
            asyncio.run(begin("two"))
    asyncio.run(begin("one"))


def test_a_folder_without_a_log_belongs_to_nobody(tmp_path: Path) -> None:
    async def begin(node_id: str) -> None:
        store = await open_store(StorageStanza(type="raft", options={"path": str(tmp_path), "node_id": node_id}), lambda: Millis(0))
        await store.close()

    asyncio.run(begin("one"))
    asyncio.run(begin("two"))
