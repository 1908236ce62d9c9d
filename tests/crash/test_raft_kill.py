"""Three members of a raft log are killed together at random instants: what was acknowledged is there, at all of them, and no more than
what was asked for.

HOLDFAST_RAFT_KILLS kills, 8 unless told.
"""
import asyncio
import os
from pathlib import Path
from random import Random

from tests.crash import raft_writer
from tests.crash.test_disk_kill import FIRST, Model, Writers, content

KILLS = int(os.environ.get("HOLDFAST_RAFT_KILLS", "8"))


async def check(folder: Path, model: Model, durable: int) -> int:
    """What new processes find: gives the index of the last batch that a majority has."""
    nodes, leader, _ = await raft_writer.open_cluster(folder)
    try:
        last = leader.log.durable_index
        assert last >= max(durable, model.index)
        async with asyncio.timeout(60):
            while not all(node.replica.index == last for node in nodes):  # noqa: ASYNC110 — replicas tell nobody
                await asyncio.sleep(0.01)
        model.advance(last)
        for node in nodes:
            assert content(node.replica) == model.values, node.name
        return last
    finally:
        for node in nodes:
            await node.close()


def test_kills_of_all_members_at_once_lose_nothing_acknowledged(tmp_path: Path) -> None:
    folder, model, dice, writers = tmp_path / "cluster", Model(), Random(KILLS), Writers(raft_writer.__name__)
    reached = []
    try:
        for _ in range(KILLS):
            durable = writers.run_and_kill(folder, 0.2 + 0.6 * dice.random(), once_durable=reached[-1] + 1 if reached else FIRST)
            reached.append(asyncio.run(check(folder, model, durable)))
    finally:
        writers.close()
    assert reached[-1] > reached[0], "they did write"
    assert any((folder / name / "checkpoint").exists() for name in ("n1", "n2", "n3"))
