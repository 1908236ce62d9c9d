"""The peer bugs that need more than one node, by their numbers. Those about failover (32), membership (34, 38) and joining (41) are with
the tests of these, 33 with those of full and hung disks, 46 and 47 with work without a bound, 28 with nodes of another version."""
from __future__ import annotations

import json
import signal
import threading
import time
from datetime import UTC, datetime

import pytest
from tests.at_once import at_once
from tests.client import Answer, Client
from tests.cluster_nodes import CALM, Cluster, Member
from tests.conftest import MakeCluster
from tests.load import Counts, Load, assert_unharmed, prepare, wait_writing
from tests.node import mount, new_token, policy
from tests.processes import wait_until

from holdfast.replica.lmdb import LmdbReplica

FRESH = 60
READS = 'path "{path}/*" {{ capabilities = ["read", "list", "create", "update", "patch", "delete"] }}'
AWAY_MS = 30_000
CLUSTER = CALM


def statuses(cluster: Cluster, token: str, path: str) -> dict[str, int]:
    """What each node answers, by a connection of its own."""
    return {member.name: _once(member, token, path).status for member in cluster.members}


def _once(member: Member, token: str, path: str) -> Answer:
    client = Client(member.connect, token)
    try:
        return client.get(path)
    finally:
        client.close()


def last_wal(cluster: Cluster) -> int:
    found: int = cluster.active.main().get("sys/health").json["last_wal"]
    return found


def kv_of(cluster: Cluster, name: str) -> str:
    mount(cluster.active.main(), name)
    policy(cluster.active.main(), name, READS.format(path=name))
    return new_token(cluster.active.main(), name)


def test_peer_bug_12_what_a_standby_has_received_is_not_what_it_has_applied(cluster: Cluster) -> None:
    """A standby has received a write and cannot apply it: the write is answered all the same, and no process of that standby answers with
    what was before, nor takes an index for present because it has come in."""
    token, late = kv_of(cluster, "kv-12"), cluster.folder / "late"
    standby = cluster.standbys[0]
    standby.stop()
    standby.env["HOLDFAST_TEST_APPLIES_NOT"] = str(late)
    cluster.restart(standby)
    active = cluster.wait_whole().client(token)
    active.post("kv-12/data/a", {"data": {"n": 1}}).ok()
    assert [client.get("kv-12/data/a").ok().data["data"] for client in (standby.client(token), standby.main(token))] == [{"n": 1}] * 2
    late.touch()
    try:
        index = active.post("kv-12/data/a", {"data": {"n": 2}}).ok().index
        wait_until(lambda: _received(standby) >= _received(cluster.active), "it has received what it does not apply")
        for client in (standby.client(token), standby.main(token)):
            for headers in ({}, {"X-Vault-Index": index}):
                assert client.get("kv-12/data/a", headers=headers).ok().data["data"] == {"n": 2}
        assert _applied(standby) < _applied(cluster.active), "and still has not"
    finally:
        late.unlink()
    cluster.wait_whole()
    assert standby.client(token).get("kv-12/data/a").ok().data["data"] == {"n": 2}


def _received(member: Member) -> int:
    found: int = member.main("").get("sys/leader").ok().json["raft_committed_index"]
    return found


def _applied(member: Member) -> int:
    """As the replica on its disk has it, whatever it says itself."""
    replica = LmdbReplica(member.data / "replica", writable=False)
    try:
        return replica.index
    finally:
        replica.close()


def test_peer_bugs_13_and_19_unsealing_a_standby_writes_nothing(cluster: Cluster) -> None:
    """A standby starts, and unseals itself: the log does not grow by it, and it serves without anybody's write."""
    for _ in range(3):                               # a machine that is busy may see a change of the active node, which writes
        active, before = cluster.active, last_wal(cluster)
        standby = cluster.standbys[0]
        standby.stop()
        cluster.restart(standby)
        cluster.wait_whole()
        if active.log_text.count("state=active") == 1 and cluster.active is active:
            assert last_wal(cluster) == before
            return
    pytest.fail("the active node changes though nothing happens")


def test_peer_bug_14_what_is_due_is_the_active_nodes_work(cluster: Cluster) -> None:
    """Tokens expire while standbys look on: no standby tries to end them, and none logs an error."""
    client = cluster.active.main()
    tokens = [new_token(client, "default", ttl="1s") for _ in range(5)]
    marks = {member.name: len(member.log_text) for member in cluster.members}
    for token in tokens:
        wait_until(lambda token=token: set(statuses(cluster, token, "auth/token/lookup-self").values()) == {403}, "expired")  # type: ignore[misc]
    for member in cluster.standbys:
        logged = member.log_text[marks[member.name]:]
        assert "[ERROR]" not in logged, logged


def test_peer_bug_16_a_mount_is_removed_through_a_standby(cluster: Cluster) -> None:
    one, other = cluster.standbys
    mount(one.client(), "gone-16")
    other.client().post("gone-16/data/a", {"data": {"a": 1}}).ok()
    assert one.client().delete("sys/mounts/gone-16").status == 204
    assert statuses(cluster, cluster.root_token, "gone-16/data/a") == {member.name: 404 for member in cluster.members}


def test_peer_bug_26_a_new_token_is_good_everywhere_at_once_and_a_revoked_one_nowhere(cluster: Cluster) -> None:
    """Made through one node, used at each, revoked through another, refused at each: never a 403 before, never a 200 after."""
    roots = [member.client() for member in cluster.members]
    users = [Client(member.connect) for member in cluster.members]
    for number in range(FRESH):
        token = new_token(roots[number % 3], "default")
        assert [user.get("auth/token/lookup-self", token=token).status for user in users] == [200, 200, 200], number
        roots[(number + 1) % 3].post("auth/token/revoke", {"token": token}).ok()
        assert [user.get("auth/token/lookup-self", token=token).status for user in users] == [403, 403, 403], number
    for user in users:
        user.close()


def test_peer_bug_27_what_is_passed_on_has_each_header_once(cluster: Cluster) -> None:
    token = kv_of(cluster, "kv-27")
    direct = cluster.active.client(token).post("kv-27/data/a", {"data": {"a": 1}}).ok()
    passed_on = cluster.standbys[0].client(token).post("kv-27/data/a", {"data": {"a": 1}}).ok()
    names = [name for name, _ in passed_on.headers]
    assert len(names) == len(set(names)), names
    assert sorted(names) == sorted(name for name, _ in direct.headers)


def test_peer_bug_29_read_modify_write_through_two_standbys_loses_nothing(cluster: Cluster) -> None:
    """Patches of one secret through both standbys at once, each of a field of its own."""
    token = kv_of(cluster, "kv-29")
    cluster.active.client(token).post("kv-29/data/a", {"data": {"begun": True}}).ok()

    def patch(member: Member) -> None:
        client = Client(member.connect, token)
        for number in range(15):
            client.patch("kv-29/data/a", {"data": {f"{member.name}{number}": number}}).ok()
        client.close()

    at_once(patch, cluster.standbys)
    found = cluster.active.client(token).get("kv-29/data/a").ok().data["data"]
    assert found == {"begun": True, **{f"{member.name}{number}": number for member in cluster.standbys for number in range(15)}}


def test_peer_bugs_30_and_31_after_a_step_down_sighup_and_reads_of_what_was_written_before(cluster: Cluster) -> None:
    """Nobody writes after the change: a read that asks for the index of before is answered by every node, and SIGHUP ends nobody."""
    token = kv_of(cluster, "kv-31")
    active = cluster.active
    index = active.client(token).post("kv-31/data/a", {"data": {"a": 1}}).ok().index
    active.main().post("sys/step-down").ok()
    cluster.wait_active(other_than=active)
    cluster.wait_whole()
    for member in cluster.members:
        member.process.send_signal(signal.SIGHUP)    # type: ignore[union-attr]
        answer = Client(member.connect, token)
        assert answer.get("kv-31/data/a", headers={"X-Vault-Index": index}).status == 200, member.name
        answer.close()
    for member in cluster.members:
        wait_until(lambda member=member: "reload" in member.log_text, "it has read its files again")  # type: ignore[misc]
    cluster.wait_whole()


def test_peer_bug_42_lockout_counts_bad_passwords_of_all_nodes_and_outlives_a_step_down(cluster: Cluster) -> None:
    root = cluster.active.main()
    root.post("sys/auth/locks", {"type": "userpass"}).ok()
    root.post("auth/locks/users/ann", {"password": "right"}).ok()
    for number in range(5):
        member = cluster.members[number % 3]
        assert member.client("").post("auth/locks/login/ann", {"password": "wrong"}).status == 400, member.name
    for member in cluster.members:
        assert member.client("").post("auth/locks/login/ann", {"password": "right"}).status == 403, member.name
    active = cluster.active
    active.main().post("sys/step-down").ok()
    cluster.wait_active(other_than=active)
    cluster.wait_whole()
    for member in cluster.members:
        assert member.client("").post("auth/locks/login/ann", {"password": "right"}).status == 403, member.name


def test_peer_bug_43_one_wrapping_token_is_unwrapped_once_whoever_asks(cluster: Cluster) -> None:
    for _ in range(5):
        made = cluster.standbys[0].client().post("sys/wrapping/wrap", {"a": "b"}, headers={"X-Vault-Wrap-TTL": "60"}).ok()
        token = made.json["wrap_info"]["token"]

        def unwrap(member: Member, token: str = token) -> int:
            client = Client(member.connect, token)
            try:
                return client.post("sys/wrapping/unwrap").status
            finally:
                client.close()

        assert sorted(at_once(unwrap, cluster.members * 2)) == [200, 400, 400, 400, 400, 400]


def test_peer_bug_44_uses_are_counted_over_all_nodes(cluster: Cluster) -> None:
    """Ten uses over 200, 404, 403 and 400, on nodes in turn and at once: exactly ten answers other than "bad token"."""
    token = new_token(cluster.active.main(), "default", num_uses=10)
    answers: list[Answer] = []

    def use(member: Member) -> None:
        client = Client(member.connect, token)
        for path in ("auth/token/lookup-self", "kv-none/a", "cubbyhole/none", "sys/mounts"):
            answers.append(client.get(path))
        client.close()

    at_once(use, cluster.members * 2)
    assert len(answers) == 24
    assert sum("bad token" not in answer.body.decode() and "invalid token" not in answer.body.decode() for answer in answers) == 10


def test_peer_bug_45_a_write_through_a_standby_is_audited_once_in_the_cluster(cluster: Cluster) -> None:
    """One pair of lines, under one id, with the client's own address."""
    token = kv_of(cluster, "kv-45")
    root = cluster.active.main()
    file = cluster.folder / "audit.log"
    root.post("sys/audit/once", {"type": "file", "options": {"file_path": str(file)}}).ok()
    try:
        answer = cluster.standbys[0].client(token).post("kv-45/data/a", {"data": {"a": 1}}).ok()
        lines = [json.loads(line) for line in file.read_text().splitlines()]
    finally:
        root.delete("sys/audit/once").ok()
    mine = [line for line in lines if line["request"]["path"] == "kv-45/data/a"]
    assert [line["type"] for line in mine] == ["request", "response"]
    assert {line["request"]["id"] for line in mine} == {answer.json["request_id"]}
    assert {line["request"]["remote_address"] for line in mine} == {"127.0.0.1"}


def test_peer_bug_48_heavy_computing_disturbs_no_lease_and_no_leader(cluster: Cluster) -> None:
    """Passwords are hashed in a loop, at every node (as RSA keys would be made): no election, no standby that passes reads on for it, and
    clients of other things are served."""
    token, root = prepare(cluster.active), cluster.active.main()
    root.post("sys/auth/heavy", {"type": "userpass"}).ok()
    stop = threading.Event()
    made: list[int] = []

    def hash_passwords(member: Member) -> None:
        client = Client(member.connect, cluster.root_token)
        while not stop.is_set():
            made.append(client.post(f"auth/heavy/users/{member.name}", {"password": "a password"}).status)
        client.close()

    def happen() -> Counts:
        stop.clear()
        threads = [threading.Thread(target=hash_passwords, args=(member,)) for member in cluster.members]
        with Load(cluster.members, token, folder=cluster.folder, reads_s=10, writes_s=10, keys=8) as load:
            for thread in threads:
                thread.start()
            time.sleep(3.0)                          # of heavy computing
            stop.set()
            for thread in threads:
                thread.join()
        load.seen.check()
        return load.seen.counts()

    elections = _logged(cluster, "state=active")
    assert_unharmed(happen, 2_000)
    assert set(made) == {204}
    assert len(made) > 5
    assert _logged(cluster, "state=active") == elections, "an active node that computes is still active"


def _logged(cluster: Cluster, what: str) -> int:
    return sum(member.log_text.count(what) for member in cluster.members)


def test_peer_bug_49_clocks_that_are_apart(make_cluster: MakeCluster) -> None:
    """One standby's clock is half a minute ahead, another one's half a minute late: a token ends everywhere at the same moment, and after a
    change of the active node no time of creation goes back."""
    found = make_cluster(3, **CALM)
    found[1].env["HOLDFAST_TEST_CLOCK_MS"] = str(AWAY_MS)
    found[2].env["HOLDFAST_TEST_CLOCK_MS"] = str(-AWAY_MS)
    found.begin()
    root_token = found.root_token
    token = new_token(found.active.main(), "default", ttl="4s")
    made = time.monotonic()
    ended: dict[str, float] = {}

    def watch(member: Member) -> None:
        client = Client(member.connect, token)
        while client.get("auth/token/lookup-self").status == 200:
            time.sleep(0.01)
        ended[member.name] = time.monotonic() - made
        client.close()

    at_once(watch, found.members)
    assert all(3.0 < each < AWAY_MS / 2_000 for each in ended.values()), ended
    assert max(ended.values()) - min(ended.values()) < AWAY_MS / 6_000, ended
    mount(found.active.main(), "kv")
    wait_writing(found.members, root_token, "kv")
    times = [_written(found, 0)]
    for number in range(1, 4):
        active = found.active
        active.main().post("sys/step-down").ok()
        found.wait_active(other_than=active)
        found.wait_whole()
        times.append(_written(found, number))
    assert times == sorted(times), times


def _written(found: Cluster, number: int) -> datetime:
    answer = found.active.main().post("kv/data/times", {"data": {"n": number}}).ok()
    return datetime.fromisoformat(answer.data["created_time"]).astimezone(UTC)
