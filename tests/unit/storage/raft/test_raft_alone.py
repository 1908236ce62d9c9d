"""A voter that has become the only one: it campaigns without asking anybody, but not before what others were promised has passed."""
import asyncio

from tests.unit.storage.raft.cluster import Network, boot_ms, end, grow, play, until
from tests.unit.storage.raft.test_raft_paper import QUICK

from holdfast.storage.raft.driver import Role


def test_rule_8_the_voter_that_is_left_waits_for_what_the_leader_promised() -> None:
    async def run() -> None:
        first, second = await grow(Network(), 2, timing=QUICK)
        await first.log.lock()
        await first.log.demote(first.log.raft_id)
        await until(lambda: second.log.members.is_alone)
        assert second.log.driver is not None
        opens_at = second.log.driver.gate.opens_at
        assert boot_ms() < opens_at
        await second.log.lock()
        assert boot_ms() >= opens_at
        await end([first, second])

    play(run())


def test_rule_8_the_only_voter_waits_after_a_restart_while_others_may_read() -> None:
    async def run() -> None:
        first, second = await grow(Network(), 2, timing=QUICK)
        await first.log.lock()
        await first.log.demote(second.log.raft_id)
        await first.kill()
        first.reset()
        first.open()
        await first.start()
        assert first.log.driver is not None
        assert first.log.driver.role is Role.FOLLOWER
        opens_at = first.log.driver.gate.opens_at
        await first.log.lock()
        assert boot_ms() >= opens_at
        await end([first, second])

    play(run())


def test_a_node_that_was_always_alone_waits_for_nobody() -> None:
    async def run() -> None:
        (only,) = await grow(Network(), 1, timing=QUICK)
        await only.log.lock()
        await asyncio.sleep(1)                       # the next segment is made by now
        await only.close()
        only.reset()
        only.open()
        began = boot_ms()
        await only.start()
        await only.log.lock()
        assert boot_ms() < began + QUICK.vote_gate
        await end([only])

    play(run())


def test_a_leader_that_removed_itself_knows_that_after_a_restart() -> None:
    async def run() -> None:
        first, second = await grow(Network(), 2, timing=QUICK)
        await first.log.lock()
        await first.log.remove(first.log.raft_id)
        await until(lambda: second.log.members.is_alone)
        await first.close()
        first.open()
        assert first.log.is_removed
        await end([first, second])

    play(run())
