"""`raft/peers.json`: a majority is lost for good, and an operator says who the members are."""
import json
from itertools import count
from random import Random

import pytest
from tests.unit.storage.raft.cluster import FOLDER, SMALL, Network, Node, boot_ms, end, grow, play, until
from tests.unit.storage.raft.test_raft_paper import QUICK

from holdfast.ids import Index, NodeId
from holdfast.limits import RAFT_PEERS_MAX_BYTES
from holdfast.storage.raft import Member
from holdfast.storage.raft.disk import RaftDisk
from holdfast.storage.raft.form import Install, write_install
from holdfast.storage.raft.peers import PeersError
from holdfast.testing.disk import FakeDisk, Stopped

PATH = FOLDER / "raft" / "peers.json"


def write_file(disk: FakeDisk, text: bytes) -> None:
    """As an operator's editor leaves it."""
    disk.make_folder(PATH.parent)
    file = disk.open(PATH, create=True)
    file.write_at(text, 0)
    file.sync()
    file.close()
    disk.sync_folder(PATH.parent)


def naming(*names: str, without_vote: tuple[str, ...] = ()) -> bytes:
    return json.dumps([{"id": name, "address": f"new-{name}:1", "non_voter": name in without_vote} for name in names]).encode()


async def reopen(node: Node, text: bytes) -> None:
    """The process dies and starts again, with the file."""
    await node.kill()
    write_file(node.disk, text)
    node.reset()
    node.open()


def names_of(node: Node) -> dict[str, bool]:
    return {member.id: member.voter for member in node.log.members.sorted()}


def test_the_one_that_is_left_goes_on_alone_with_all_that_was_acknowledged_and_grows_again() -> None:
    async def run() -> None:
        network = Network()
        first, second, third = await grow(network, 3, timing=QUICK)
        last = await first.write(await first.log.lock(), 20)
        await until(lambda: third.index == last)
        await first.kill()
        await second.kill()
        await reopen(third, naming("n3"))
        assert not third.disk.exists(PATH)
        assert third.log.named == (Member(id=NodeId("n3"), raft_id=third.log.raft_id, address="new-n3:1", voter=True),)
        began = boot_ms()
        await third.start()
        await third.write(await third.log.lock())
        assert boot_ms() >= began + QUICK.vote_gate      # what the old leader promised to the others has passed
        await until(lambda: third.index == last + 1)
        assert sorted(third.applied) == list(range(1, last + 2))
        fresh = [Node(network, name, seed=seed, timing=QUICK) for name, seed in (("n1", 11), ("n5", 12))]
        for number, node in enumerate(fresh):
            await node.start()
            await third.log.add(Member(id=node.name, raft_id=node.log.raft_id, address=f"b{number}:1", voter=True), voter=True)
        await until(lambda: all(node.index == last + 1 for node in fresh))
        await until(lambda: all(names_of(node) == {"n1": True, "n3": True, "n5": True} for node in (third, *fresh)))
        await third.kill()                               # the new ones are a majority, and know who the members are
        await until(lambda: any(node.is_leader for node in fresh))
        third.reset()
        third.open()
        await third.start()
        await until(lambda: third.index == last + 1 and names_of(third) == names_of(fresh[0]))
        await end([third, *fresh])

    play(run())


def test_a_lost_node_that_comes_back_after_all_is_told_that_it_is_no_member() -> None:
    async def run() -> None:
        first, second, third = await grow(Network(), 3, timing=QUICK)
        last = await first.write(await first.log.lock(), 3)
        await until(lambda: third.index == last)
        await first.kill()
        await second.kill()
        await reopen(third, naming("n3"))
        await third.start()
        fence = await third.log.lock()
        first.reset()
        first.open()
        await first.start()
        await until(lambda: first.log.is_removed)
        await third.write(fence)
        assert names_of(third) == {"n3": True}
        await end([first, third])

    play(run())


def test_two_of_five_go_on_and_the_one_that_lacks_changes_of_members_does_not_learn_them() -> None:
    """The changes that one has beyond the other's log must not be applied there, or the two would know different members."""
    async def run() -> None:
        network = Network()
        nodes = await grow(network, 5, timing=QUICK)
        ahead, behind = nodes[0], nodes[4]
        fence = await ahead.log.lock()
        await until(lambda: all(len(node.log.members.now) == 5 for node in nodes))
        network.isolate(behind)
        await ahead.log.demote(nodes[1].log.raft_id)
        await ahead.log.remove(nodes[2].log.raft_id)
        last = await ahead.write(fence, 3)
        for node in nodes[1:4]:
            await node.kill()
        network.heal()
        text = naming("n1", "n5")
        await reopen(ahead, text)
        await reopen(behind, text)
        assert names_of(ahead) == names_of(behind) == {"n1": True, "n5": True}
        for node in (behind, ahead):
            await node.start()
        await until(lambda: ahead.is_leader)
        fence = await ahead.log.lock()
        await ahead.write(fence)
        await until(lambda: behind.index == last + 1)
        assert names_of(ahead) == names_of(behind) == {"n1": True, "n5": True}
        await ahead.log.demote(behind.log.raft_id)              # changes from now on count, for both
        await until(lambda: names_of(behind) == {"n1": True, "n5": False})
        for node in (ahead, behind):
            await node.kill()
            node.reset()
            node.open()
            assert names_of(node) == {"n1": True, "n5": False}
        await end([ahead, behind])

    play(run())


def test_who_lags_behind_a_checkpoint_gets_the_new_members_with_it() -> None:
    async def run() -> None:
        network = Network()
        nodes = await grow(network, 5, timing=QUICK, sizes=SMALL)
        ahead, behind = nodes[0], nodes[4]
        fence = await ahead.log.lock()
        network.isolate(behind)
        for _ in range(60):
            await ahead.write(fence, 1, size=100_000)
        last = await ahead.write(fence)
        await until(lambda: ahead.index == last)
        await ahead.checkpoint()
        for node in nodes[1:4]:
            await node.kill()
        network.heal()
        text = naming("n1", "n5")
        await reopen(ahead, text)
        await reopen(behind, text)
        for node in (behind, ahead):
            await node.start()
        await until(lambda: behind.index >= last)
        assert behind.snapshots
        assert names_of(behind) == {"n1": True, "n5": True}
        await until(lambda: ahead.is_leader)
        await ahead.write(await ahead.log.lock())
        await until(lambda: behind.index == last + 1)
        await end([ahead, behind])

    play(run())


def test_it_stays_so_after_the_next_checkpoint() -> None:
    async def run() -> None:
        first, second, third = await grow(Network(), 3, timing=QUICK)
        last = await first.write(await first.log.lock(), 20)
        await until(lambda: third.index == last)
        await first.kill()
        await second.kill()
        await reopen(third, naming("n3", "n2", without_vote=("n2",)))
        await third.start()
        fence = await third.log.lock()
        for _ in range(60):
            await third.write(fence, 1, size=100_000)
        await until(lambda: third.index == third.log.durable_index)
        await third.checkpoint()
        await third.log.remove(second.log.raft_id)
        await third.kill()
        third.reset()
        third.open()
        assert names_of(third) == {"n3": True}
        await end([third])

    play(run())


def open_disk(disk: FakeDisk, node: str = "n1") -> RaftDisk:
    return RaftDisk(disk, FOLDER, NodeId(node), draw=Random(7).randbytes, segment_bytes=1 << 18, reserve_bytes=1 << 12)


def disk_of_two() -> FakeDisk:
    """Of the first of two members, n1 and n2, after some writes; its process is dead."""
    disk = FakeDisk(1)

    async def run() -> None:
        first = Node(Network(), "n1", disk=disk, timing=QUICK)
        first.log.bootstrap("a1:1")
        await first.start()
        await first.write(await first.log.lock(), 3)
        await first.log.add(Member(id=NodeId("n2"), raft_id=22, address="a2:1", voter=False), voter=False)
        await first.kill()

    play(run())
    return disk


@pytest.mark.parametrize("power", [False, True])
def test_killed_at_any_instant_it_has_the_file_still_or_its_members(power: bool) -> None:
    ends = set()
    for steps in count():
        disk = disk_of_two()
        write_file(disk, naming("n1"))
        disk.steps_left = steps
        try:
            open_disk(disk).close()
        except Stopped:
            is_stopped = True
        else:
            is_stopped = False
        disk.lose_power() if power else disk.kill()
        is_there = disk.exists(PATH)
        opened = open_disk(disk)
        assert [(member.id, member.address) for member in opened.members.sorted()] == [("n1", "new-n1:1")]
        assert opened.known_through() == opened.extents.last
        assert bool(opened.named) is is_there
        assert not disk.exists(PATH)
        opened.close()
        ends.add((is_stopped, is_there))
        if not is_stopped:
            break
    assert {(True, True), (False, False)} <= ends


def test_what_turns_out_to_be_committed_later_changes_no_members() -> None:
    """A replica had applied more than the log knew to be committed: a change among it is of before."""
    disk = disk_of_two()
    write_file(disk, naming("n1", "n2"))
    opened = open_disk(disk)
    members = opened.members.sorted()
    assert opened.state.commit < opened.extents.last
    opened.learn_commit(opened.extents.last)
    assert opened.members.sorted() == members
    opened.close()


@pytest.mark.parametrize(("text", "why"), [
    (b"", "not a list"),
    (b"{", "not a list"),
    (b"[" * 50_000, "not a list"),
    (b'{"id": "n1"}', "Expected `array`"),
    (b'[{"id": "n1"}]', "`address`"),
    (b'[{"id": "n1", "address": "a:1", "voter": true}]', "unknown field `voter`"),
    (b'[{"id": "n1", "address": "a:1", "non_voter": "no"}]', "Expected `bool`"),
    (b'[{"id": "", "address": "a:1"}]', "an id has 0 characters"),
    (b'[{"id": "n1", "address": "a"}]', "no host:port"),
    (b'[{"id": "n1", "address": "https://a:1"}]', "no host:port"),
    (b'[{"id": "n1", "address": "a:0"}]', "no host:port"),
    (b'[{"id": "n1", "address": "a:65536"}]', "no host:port"),
    (b'[{"id": "n1", "address": "0.0.0.0:1"}]', "no host:port"),
    (b'[{"id": "n1", "address": "::1:1"}]', "no host:port"),
    (b'[{"id": "n1", "address": ":1"}]', "no host:port"),
    (naming("n1", "n1"), "n1 stands there twice"),
    (b'[{"id": "n1", "address": "a:1"}, {"id": "n2", "address": "a:1"}]', "a:1 stands there twice"),
    (naming("n1", without_vote=("n1",)), "it names no voter"),
    (b"[]", "it names no voter"),
    (naming("n2"), "it does not name this node, n1"),
    (naming("n1", "n3", "n4"), "this node's log knows no n3, n4"),
    (naming(*(f"n{number}" for number in range(65))), "it names 65 members: the limit is 64"),
    (b" " * (RAFT_PEERS_MAX_BYTES + 1), f"it has {RAFT_PEERS_MAX_BYTES + 1} bytes: the limit is {RAFT_PEERS_MAX_BYTES}"),
])
def test_a_file_that_leaves_a_doubt_changes_nothing(text: bytes, why: str) -> None:
    disk = disk_of_two()
    write_file(disk, text)
    with pytest.raises(PeersError) as refused:
        open_disk(disk)
    assert str(refused.value).startswith(f"{PATH}: ")
    assert why in str(refused.value)
    assert disk.exists(PATH)
    disk.remove(PATH)
    opened = open_disk(disk)
    assert {member.id: member.voter for member in opened.members.sorted()} == {"n1": True, "n2": False}
    opened.close()


@pytest.mark.parametrize("address", ["10.0.0.1:8201", "[::1]:8201", "vault-0.vault_internal.svc:65535"])
def test_addresses_that_others_can_reach(address: str) -> None:
    disk = disk_of_two()
    write_file(disk, json.dumps([{"id": "n1", "address": address}]).encode())
    opened = open_disk(disk)
    assert [member.address for member in opened.members.sorted()] == [address]
    opened.close()


def test_a_node_without_a_log_has_nothing_to_go_on_with() -> None:
    disk = FakeDisk(1)
    write_file(disk, naming("n1"))
    with pytest.raises(PeersError, match="this node has no log"):
        open_disk(disk)
    assert disk.exists(PATH)


def test_a_node_of_another_name_is_not_one_more_member() -> None:
    """Its node_id has been changed: its disk is one member's, not two."""
    disk = disk_of_two()
    write_file(disk, naming("n1", "n2", "renamed"))
    with pytest.raises(PeersError, match="n1, renamed are one node"):
        open_disk(disk, "renamed")
    disk.remove(PATH)
    write_file(disk, naming("n2", "renamed"))
    opened = open_disk(disk, "renamed")
    assert {member.id for member in opened.members.sorted()} == {"n2", "renamed"}
    opened.close()


def test_a_state_that_is_not_here_is_not_made_up() -> None:
    """The log ends with a snapshot that was being restored and had not come to this node: alone it could never serve."""
    disk = disk_of_two()
    opened = open_disk(disk)
    last, state = opened.extents.last, opened.state
    entry = write_install(Install(index=Index(50), generation=9, size=1, digest="00"))
    written = b"\x10\x01\x18" + bytes((last + 1, 0x22, len(entry))) + entry
    opened.persist(state, [(last + 1, last + 1, entry[:16], len(written).to_bytes(4) + written)])
    opened.close()
    write_file(disk, naming("n1"))
    with pytest.raises(PeersError, match="a snapshot that was being restored"):
        open_disk(disk)
    disk.remove(PATH)
    write_file(disk, naming("n1", "n2"))
    open_disk(disk).close()
