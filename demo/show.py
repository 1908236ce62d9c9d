"""What is shown: three nodes, from their first start over a step-down and a kill -9 under load to a snapshot that is restored."""
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import hvac
from tests.client import Answer
from tests.cluster_nodes import ACTIVE, Cluster, Member
from tests.load import Counts, Load, prepare

from demo.steps import Steps, check

SHARES, THRESHOLD = 3, 2
ROWS = ("HA Mode", "Active Since", "Active Node Address", "Performance Standby Node", "Performance Standby Last Remote WAL")
BEFORE_S, AFTER_S = 1.5, 3.0                         # of the load, around what happens
# Reads, and as many writes, at each node: also a machine that others use bears that. `bench.ha` asks for more.
RATE_S, CONNECTIONS = 25.0, 40
NODE_ID = "X-Vault-Raft-Node-ID"


def show(steps: Steps, cluster: Cluster) -> None:
    """The whole of it. Raises RuntimeError or AssertionError: something is not as it should be."""
    _begin(steps, cluster)
    _status(steps, cluster)
    _use(steps, cluster)
    _revoke(steps, cluster)
    _under_load(steps, cluster)
    _snapshot(steps, cluster)
    _status(steps, cluster)


def _begin(steps: Steps, cluster: Cluster) -> None:
    first, *others = cluster.members
    steps.step("start", lambda: _start(cluster), lambda s: f"three nodes of two processes each answer over TLS after {s:.1f} s")
    made = steps.step("operator init, at n0", lambda: first.initialise(SHARES, THRESHOLD),
                      lambda _: f"{SHARES} unseal keys, of which {THRESHOLD} unseal a node, and a root token")
    cluster.root_token = made["root_token"]
    steps.step("operator unseal, at n0", lambda: _unseal(first), lambda _: "n0 is the active node")
    for member in others:
        member.root_token, member.shares = first.root_token, first.shares
        steps.step(f"operator unseal, at {member.name}", partial(_unseal, member), lambda _: "has joined by itself, and serves")
    steps.step("operator raft list-peers", lambda: _list_peers(cluster), _peers)


def _start(cluster: Cluster) -> float:
    began = time.monotonic()
    for member in cluster.members:
        member.launch()
    for member in cluster.members:
        member.wait_answering()
    return time.monotonic() - began


def _unseal(member: Member) -> None:
    member.wait_seal_known()
    for share in member.shares[:THRESHOLD]:
        _command(member, "operator", "unseal", share)
    member.wait_unsealed()


def _list_peers(cluster: Cluster) -> str:
    cluster.wait_whole()
    return _command(cluster[1], "operator", "raft", "list-peers")


def _peers(out: str) -> str:
    names = [line.split() for line in out.splitlines()[2:]]
    check(len(names) == 3 and sum("leader" in words for words in names) == 1, out)
    return ", ".join(f"{words[0]} {'leads' if 'leader' in words else 'follows'}" for words in names)


def _status(steps: Steps, cluster: Cluster) -> None:
    """The rows about this node's part, of all nodes; whose part it is must be said by each."""
    for member in cluster.members:
        rows = steps.step(f"status, of {member.name}", partial(_rows, member),
                          lambda rows: ", ".join(f"{name} {value}" for name, value in rows.items()))
        is_active = member.health() == ACTIVE
        check(rows.get("HA Mode") == ("active" if is_active else "standby"), f"HA Mode of {member.name}: {rows}")
        check(is_active or rows.get("Performance Standby Node") == "true", f"{member.name} is no performance standby: {rows}")


def _rows(member: Member) -> dict[str, str]:
    lines = [line.rsplit("  ", 1) for line in _command(member, "status").splitlines() if "  " in line]
    return {name.strip(): value.strip() for name, value in lines if name.strip() in ROWS}


def _use(steps: Steps, cluster: Cluster) -> None:
    """KV and tokens through standbys; the header is off by default, and on in the demo's configuration."""
    one, two = cluster.standbys
    client = hvac.Client(url=one.address, token=cluster.root_token, verify=str(one.ca))
    steps.step(f"secrets enable, through {one.name}", lambda: _command(one, "secrets", "enable", "-path=secret", "kv-v2"),
               lambda _: "KV version 2 at secret/")
    steps.step(f"kv put, through {one.name}", lambda: _command(one, "kv", "put", "-mount=secret", "app/db", "password=s3cret"),
               lambda _: f"written by {cluster.active.name}, to which {one.name} has passed it on")
    for member in cluster.members:
        steps.step(f"read at {member.name}", partial(_read, member), _shown)
    steps.step(f"hvac writes, through {one.name}",
               lambda: client.secrets.kv.v2.create_or_update_secret("app/db", {"password": "n3w"}, cas=1),
               lambda r: f"version {r['data']['version']}, by check-and-set")
    steps.step(f"read at {two.name}, at once", partial(_read, two), _shown)


def _read(member: Member) -> Answer:
    return member.client().get("secret/data/app/db").ok()


def _shown(answer: Answer) -> str:
    return f"password {_password(answer)}, answered by {_answered_by(answer)}"


def _password(answer: Answer) -> str:
    found: str = answer.data["data"]["password"]
    return found


def _answered_by(answer: Answer) -> str:
    found = answer.header(NODE_ID)
    check(found, f"an answer without {NODE_ID}: {answer.headers}")
    return found


def _revoke(steps: Steps, cluster: Cluster) -> None:
    one, two = cluster.standbys
    token = steps.step(f"token create, through {one.name}", lambda: _command(one, "token", "create", "-policy=default", "-field=token"),
                       lambda token: f"{token[:10]}…")
    steps.step("the token, at each node", lambda: [_lookup(member, token) for member in cluster.members], _statuses(200))
    steps.step(f"token revoke, through {two.name}", lambda: _command(two, "token", "revoke", token), lambda _: "revoked")
    steps.step("the token, at each node, at once", lambda: [_lookup(member, token) for member in cluster.members], _statuses(403))


def _lookup(member: Member, token: str) -> tuple[str, int]:
    return member.name, member.client(token).get("auth/token/lookup-self").status


def _statuses(expected: int) -> Callable[[list[tuple[str, int]]], str]:
    def shown(found: list[tuple[str, int]]) -> str:
        check(all(status == expected for _, status in found), f"expected {expected}: {found}")
        return ", ".join(f"{status} at {name}" for name, status in found)
    return shown


def _under_load(steps: Steps, cluster: Cluster) -> None:
    token = prepare(cluster.active)
    steps.step("step-down under load", lambda: _step_down(cluster, token), _told)
    steps.step("kill -9 of the active node under load", lambda: _kill(cluster, token), _told)
    killed = next(member for member in cluster.members if member.process is None)
    steps.step(f"start {killed.name} again", lambda: _again(cluster, killed),
               lambda _: "it has caught up, and serves as a performance standby")


def _load(cluster: Cluster, token: str) -> Load:
    return Load(cluster.members, token, folder=cluster.folder, reads_s=RATE_S, writes_s=RATE_S, connections=CONNECTIONS)


def _step_down(cluster: Cluster, token: str) -> tuple[str, Counts]:
    active = cluster.active
    with _load(cluster, token) as load:
        time.sleep(BEFORE_S)
        began = time.monotonic()
        _command(active, "operator", "step-down")
        time.sleep(AFTER_S)
    successor = cluster.wait_active(other_than=active)
    load.seen.check()
    return f"{active.name} → {successor.name}", load.seen.counts(since=began)


def _kill(cluster: Cluster, token: str) -> tuple[str, Counts]:
    active = cluster.active
    with _load(cluster, token) as load:
        time.sleep(BEFORE_S)
        began = time.monotonic()
        active.kill()
        time.sleep(AFTER_S)
    successor = cluster.wait_active()
    load.seen.check()
    return f"{active.name} → {successor.name}", load.seen.counts(since=began, nodes=cluster.running)


def _again(cluster: Cluster, member: Member) -> None:
    member.start()
    _unseal(member)
    cluster.wait_whole()


def _told(found: tuple[str, Counts]) -> str:
    who, counts = found
    check(counts.failed == 0, f"{counts.failed} requests failed: {counts.errors}")
    return (f"{who}; of {counts.offered:,} requests of clients of living nodes {counts.failed} failed; longest time without a write "
            f"{counts.stall.ms:.0f} ms; every history is linearizable")


def _snapshot(steps: Steps, cluster: Cluster) -> None:
    file = cluster.folder / "demo.snap"
    standby = cluster.standbys[0]
    steps.step("operator raft snapshot save", lambda: _command(standby, "operator", "raft", "snapshot", "save", str(file)),
               lambda _: f"{file.stat().st_size / 1024:,.0f} KiB, through {standby.name}")
    steps.step("kv metadata delete", lambda: _command(standby, "kv", "metadata", "delete", "-mount=secret", "app/db"), lambda _: "gone")
    steps.step("operator raft snapshot restore", lambda: _restore(cluster, standby, file), lambda _: "the cluster is as it was then")
    steps.step("read at each node", lambda: [_password(_read(member)) for member in cluster.members],
               lambda found: f"password {', '.join(found)}")


def _restore(cluster: Cluster, at: Member, file: Path) -> None:
    _command(at, "operator", "raft", "snapshot", "restore", str(file))
    cluster.wait_whole()


def _command(member: Member, *words: str) -> str:
    """A command of the command line at that node, which must end well; what it printed."""
    done = member.cli(*words)
    check(done.returncode == 0, f"holdfast {' '.join(words)} at {member.name}: exit {done.returncode}: {done.stderr.strip()}")
    return done.stdout.strip()
