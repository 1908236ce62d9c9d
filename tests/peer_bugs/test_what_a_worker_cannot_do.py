"""Peer bugs 17, 18 and 20 to 29: requests that a standby cannot finish, or must not begin, sent to one. The standby is a worker."""
from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from tests.at_once import at_once
from tests.client import Client
from tests.conftest import MakeNode
from tests.contract import world
from tests.contract.misbehaviour import MISBEHAVIOURS
from tests.node import Node, mount, new_token
from tests.processes import wait_until

LOCKED = 403
ENDS_ITS_PROCESS = {"derive-writes", "derive-spends"}    # what such an engine did to the caches nobody can know
WRAP = {"X-Vault-Wrap-TTL": "60"}


@pytest.fixture(scope="module")
def contract() -> Callable[[Node], None]:
    """Mounts the contract engine, whose outside is the node's folder."""

    def use(node: Node) -> None:
        mount(node.main(), "con", "contract")
        node.main().post("con/world", {"folder": str(node.folder)}).ok()

    return use


def test_peer_bug_17_nothing_is_made_inside_of_a_read(node: Node, client: Client, main: Client, kv: str) -> None:
    """First reads of what has only just been made: a salt, a cubbyhole, an empty mount; nothing is missing, and nothing gets written."""
    token = new_token(main, "default")
    main.post(f"sys/audit/{kv}", {"type": "file", "options": {"file_path": str(node.folder / f"{kv}.log")}}).ok()
    before = client.get("sys/health").json["last_wal"]
    assert client.post(f"sys/audit-hash/{kv}", {"input": "x"}).status == 200
    assert client.get("cubbyhole/a", token=token).status == 404
    assert client.list("cubbyhole/", token=token).status == 404
    assert client.get(f"{kv}/config").status == 200
    assert client.list(f"{kv}/metadata").status == 404
    assert client.get(f"sys/internal/ui/mounts/{kv}").status == 200
    assert client.get("sys/health").json["last_wal"] == before
    main.delete(f"sys/audit/{kv}").ok()


def test_peer_bug_18_failed_logins_through_a_worker_are_counted_and_lock(make_node: MakeNode) -> None:
    """Failed logins through a standby, with lockout: no 500 "read-only", and none that is not counted."""
    node = make_node(workers=2).begin()
    root, main = node.client(), node.main()
    root.post("sys/auth/up", {"type": "userpass"}).ok()
    root.post("auth/up/users/ann", {"password": "right"}).ok()
    root.post("auth/up/users/bob", {"password": "right"}).ok()
    for turn in range(5):
        where = node.client("") if turn % 2 else node.main("")
        assert where.post("auth/up/login/ann", {"password": "wrong"}).status == 400
    for where in (*(node.client("") for _ in range(4)), main):
        assert where.post("auth/up/login/ann", {"password": "right"}, token="").status == LOCKED, "in every process"
        assert where.post("auth/up/login/ANN", {"password": "right"}, token="").status == LOCKED, "however it is written"
        assert where.post("auth/up/login/bob", {"password": "right"}, token="").status == 200
    node.kill()
    node.start()
    node.wait_unsealed()
    assert node.client("").post("auth/up/login/ann", {"password": "right"}).status == LOCKED, "a lock is in the log"


def test_peer_bug_20_a_wrapped_read_through_a_worker(node: Node, client: Client, main: Client, kv: str) -> None:
    """GET with a wrap TTL through a standby: no 500."""
    main.post(f"{kv}/data/a", {"data": {"x": "1"}}).ok()
    for where, other in ((client, main), (main, client)):
        wrapped = where.get(f"{kv}/data/a", headers=WRAP).ok().json
        assert wrapped["data"] is None
        assert wrapped["wrap_info"]["creation_path"] == f"{kv}/data/a"
        token = wrapped["wrap_info"]["token"]
        assert other.post("sys/wrapping/unwrap", token=token).ok().data["data"] == {"x": "1"}
        assert where.post("sys/wrapping/unwrap", token=token).status == 400


def test_peer_bug_21_credentials_made_outside_through_a_worker(make_node: MakeNode, contract: Callable[[Node], None]) -> None:
    """Dynamic credentials through a standby: no 500, and no user outside that no lease knows."""
    node = make_node(contract=True).begin()
    contract(node)
    for name, where in (("w", node.client()), ("m", node.main())):
        made = where.get(f"con/creds/{name}?ttl=1h").ok().json
        assert where.post("sys/leases/lookup", {"lease_id": made["lease_id"]}).ok().data["id"] == made["lease_id"]
        assert where.post(f"con/creds/{name}x", {"create": "fail"}).status == 500
    assert world.users(node.folder) == ("m", "w"), "every user has a lease"
    assert sorted(world.calls(node.folder, "create")) == ["m", "mx", "w", "wx"], "and was made once"


def test_peer_bug_22_leases_are_renewed_and_revoked_through_a_worker(make_node: MakeNode, contract: Callable[[Node], None]) -> None:
    """Leases renewed and revoked through a standby: none of it stays there without being forwarded."""
    node = make_node(contract=True).begin()
    contract(node)
    client = node.client()
    leases = [client.get(f"con/creds/u{number}?ttl=1h").ok().json["lease_id"] for number in range(4)]
    assert client.post("sys/leases/renew", {"lease_id": leases[0], "increment": 600}).ok().json["lease_duration"] == 600
    client.post("sys/leases/revoke", {"lease_id": leases[0], "sync": False}).ok()
    client.post("sys/leases/revoke", {"lease_id": leases[1]}).ok()
    client.post("sys/leases/revoke-prefix/con/creds/u2").ok()
    client.post("sys/leases/revoke-force/con/creds/u3").ok()
    assert set(world.users(node.folder)) <= {"u0"}, "the answer waits for the outside unless told not to"
    for lease in leases:
        for where in (client, node.main()):
            assert where.post("sys/leases/lookup", {"lease_id": lease}).status == 400
    wait_until(lambda: world.users(node.folder) == (), "and outside, too")


def test_a_prefix_whose_engine_fails_says_so_and_a_seal_does_not_wait(make_node: MakeNode, contract: Callable[[Node], None]) -> None:
    node = make_node(contract=True).begin()
    contract(node)
    client = node.client()
    lease = client.get("con/creds/u1?revoke=fail").ok().json["lease_id"]
    client.get("con/creds/u2").ok()
    refused = client.post("sys/leases/revoke-prefix/con/creds")
    assert (refused.status, refused.errors) == (400, [f'failed to revoke "{lease}": its engine could not; it will be asked again'])
    assert world.users(node.folder) == ("u1",)
    assert client.post("sys/leases/revoke-force/con/creds").status == 204
    lease = client.get("con/creds/u3?revoke=hang").ok().json["lease_id"]
    waiting = node.main()
    waiting.send(f"POST /v1/sys/leases/revoke-prefix/con/creds HTTP/1.1\r\nHost: a\r\nX-Vault-Token: {node.root_token}\r\n"
                 "Content-Length: 0\r\n\r\n".encode())
    wait_until(lambda: client.post("sys/leases/lookup", {"lease_id": lease}).status == 400, "it is dead")
    wait_until(lambda: "u3" in world.calls(node.folder, "drop"), "its engine is being asked")
    client.post("sys/seal").ok()
    assert waiting.receive().status == 503


def test_peer_bug_23_what_is_about_the_cluster_is_not_answered_by_a_worker(node: Node, client: Client, main: Client) -> None:
    """step-down and the raft paths through a standby: not answered there, and wrongly."""
    for method, path, status in (
            ("POST", "sys/step-down", 204), ("GET", "sys/storage/raft/configuration", 400), ("POST", "sys/storage/raft/join", 400),
            ("POST", "sys/storage/raft/remove-peer", 400), ("GET", "sys/storage/raft/autopilot/state", 400), ("GET", "sys/ha-status", 200),
            ("GET", "sys/leader", 200)):
        here, there = (where.ask(method, path, {} if method == "POST" else None) for where in (client, main))
        assert (here.status, there.status) == (status, status), path
        if here.body and path != "sys/ha-status":
            assert here.json == there.json
    assert client.get("sys/health").status == 200


def test_peer_bug_24_a_body_arrives_whole(node: Node, client: Client, main: Client, new_name: Callable[[str], str]) -> None:
    """A body was read before it is forwarded: it does not arrive empty or cut."""
    path = new_name("kv")
    mount(main, path, options={"version": "1"})
    for size in (0, 1, 1_000, 65_535, 65_536, 1_000_000):
        body = {"text": "ä" * (size // 2), "n": 1.10, "list": [None, True, {"deep": "x"}]}
        client.post(f"{path}/a", body).ok()
        assert main.get(f"{path}/a").ok().data == body
    large = {f"part{number}": "x" * 1_000_000 for number in range(20)}
    client.post(f"{path}/large", large).ok()
    assert main.get(f"{path}/large").ok().data == large
    assert client.get(f"{path}/large").ok().data == large
    text = json.dumps(large).encode()[:900_000] + b'"}'
    client.send((f"POST /v1/{path}/chunks HTTP/1.1\r\nHost: a\r\nX-Vault-Token: {node.root_token}\r\n"
                 "Transfer-Encoding: chunked\r\n\r\n").encode())
    for start in range(0, len(text), 7_001):
        piece = text[start:start + 7_001]
        client.send(b"%x\r\n%b\r\n" % (len(piece), piece))
    client.send(b"0\r\n\r\n")
    assert client.receive().status == 204
    assert main.get(f"{path}/chunks").ok().data == json.loads(text)


def test_peer_bug_25_an_engine_that_hides_why_it_was_stopped(make_node: MakeNode, contract: Callable[[Node], None]) -> None:
    """Whatever an engine makes of being stopped, a worker and main give the same answer, and nothing that was refused is kept."""
    pair = [make_node(contract=True, workers=workers).begin() for workers in (1, 0)]
    for node in pair:
        contract(node)
    for how in sorted(MISBEHAVIOURS.keys() - ENDS_ITS_PROCESS):
        for method in ("GET", "POST"):
            here, there = (node.client().ask(method, f"con/misbehave/{how}") for node in pair)
            assert here.status == there.status, f"{method} {how}: {here.body!r} from a worker, {there.body!r} from main"
            assert here.errors == there.errors if here.status >= 400 else bool(here.index) == bool(there.index), how
    for node in pair:
        assert node.client().get("sys/health").status == 200
        assert len(node.worker_pids()) == node.workers
        assert "worker.lost" not in node.log_text, "such a defect ends no process"
        assert re.search(r"core\.handler_failed: .*path=con/misbehave/raise-key-error error=KeyError at=.*misbehaviour\.py:", node.log_text)


def test_an_engine_that_writes_into_a_cache_ends_its_worker_and_no_more(make_node: MakeNode, contract: Callable[[Node], None]) -> None:
    """An engine writes while a value is cached: the worker that ran it ends, and no other process does."""
    node = make_node(contract=True).begin()
    contract(node)
    for turn, how in enumerate(sorted(ENDS_ITS_PROCESS), 1):
        with pytest.raises(OSError):  # noqa: PT011 -- closed or reset, as the kernel likes
            node.client().get(f"con/misbehave/{how}")
        wait_until(lambda turn=turn: node.log_text.count("worker.started") == turn + 1, "another worker")  # type: ignore[misc]
        assert node.client().get("con/raw").status == 202


def test_peer_bug_26_a_new_token_works_at_once_everywhere(make_node: MakeNode) -> None:
    """A new token used at once in another process: no 403."""
    node = make_node(workers=2).begin()
    others = [node.client() for _ in range(6)]
    for turn in range(30):
        maker = node.main() if turn % 2 else others[turn % 6]
        token = new_token(maker, "default")
        for where in (*others, node.main()):
            assert where.get("auth/token/lookup-self", token=token).status == 200


def test_peer_bug_27_an_answer_from_main_has_each_header_once(node: Node, client: Client, kv: str) -> None:
    """A forwarded answer: no header comes twice."""
    for answer in (client.post(f"{kv}/data/a", {"data": {}}), client.get("sys/seal-status"),
                   client.post("sys/unseal", {"key": node.shares[0]}),
                   client.get(f"{kv}/data/a", headers=WRAP), client.get("sys/metrics"), client.delete(f"{kv}/data/a"),
                   client.post(f"{kv}/data/a", {"data": 1})):
        names = [name for name, _ in answer.headers]
        assert len(names) == len(set(names)), names
        assert answer.header("cache-control") == "no-store"


def test_peer_bug_28_a_worker_of_another_version_does_not_join(make_node: MakeNode) -> None:
    """The program was upgraded on disk while main runs: a worker that is started then is another version's."""
    node = make_node(workers=1, env={"HOLDFAST_TEST_WORKER_VERSION": "9.9.9"})
    node.launch()
    assert node.wait_ended() == 1
    assert "9.9.9" in node.log_text
    assert "Traceback" not in node.log_text


def test_peer_bug_29_no_write_is_lost_between_two_that_read_first(make_node: MakeNode) -> None:
    """Read-modify-write through standbys: the first of two writes is not lost."""
    node = make_node(workers=2).begin()
    mount(node.client(), "kv")
    node.client().post("kv/data/a", {"data": {"start": 1}}).ok()
    wins: list[int] = []

    def write(number: int) -> None:
        mine = node.client() if number % 4 else node.main()
        for turn in range(6):
            mine.patch("kv/data/a", {"data": {f"w{number}-{turn}": 1}}).ok()
        for version in range(1, 40):                 # and by check-and-set: each version is won once
            if mine.post("kv/data/cas", {"data": {"by": number}, "options": {"cas": version - 1}}).status == 200:
                wins.append(version)

    at_once(write, range(8))
    found = node.client().get("kv/data/a").ok().data
    assert len(found["data"]) == 1 + 8 * 6
    assert found["metadata"]["version"] == 1 + 8 * 6
    assert len(wins) == len(set(wins)) == node.client().get("kv/data/cas").ok().data["metadata"]["version"]
