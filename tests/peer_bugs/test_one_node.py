"""Peer bugs 35, 36, 39 to 45: what one node can get wrong by itself, or between its processes."""
from __future__ import annotations

import json
import threading

from tests.at_once import at_once
from tests.client import Answer, Client
from tests.conftest import MakeNode
from tests.contract import world
from tests.disks import fill, small_disk
from tests.node import STATIC, TCP, UNIX, Node, mount, new_token, policy
from tests.processes import memory_bytes, wait_until

MEMORY_MAX_BYTES = 12 << 20


def test_peer_bug_35_requests_while_a_node_is_initialised(make_node: MakeNode) -> None:
    """Requests between init and the end of unsealing: no panic, no 500, and no second initialisation."""
    node = make_node(workers=1)
    node.start()
    statuses: set[int] = set()
    done = threading.Event()

    def ask(client: Client) -> None:
        while not done.is_set():
            for method, path, body in (("GET", "sys/mounts", None), ("POST", "sys/unseal", {"key": "00"}), ("GET", "sys/health", None),
                                       ("POST", "auth/token/create", {}), ("GET", "sys/seal-status", None), ("POST", "sys/seal", None)):
                statuses.add(client.ask(method, path, body, token="hvs.none").status)

    threads = [threading.Thread(target=ask, args=(client,)) for client in (node.client(""), node.main(""), node.client(""), node.main(""))]
    for thread in threads:
        thread.start()
    inits = at_once(_init, [node] * 3)
    done.set()
    for thread in threads:
        thread.join()
    assert sorted(inits) == [200, 400, 400], "one of three has initialised it"
    assert 500 not in statuses
    node.wait_unsealed()
    assert "defect" not in node.log_text
    assert "worker.lost" not in node.log_text


def _init(node: Node) -> int:
    answer = node.client("").post("sys/init", {"recovery_shares": 1, "recovery_threshold": 1})
    if answer.status == 200:
        node.root_token = answer.json["root_token"]
    return answer.status


def test_peer_bug_36_settings_of_several_files_are_all_there(make_node: MakeNode) -> None:
    """Several files of configuration: no setting of any of them is dropped silently."""
    node = make_node(workers=1)
    folder = node.folder / "more.d"
    folder.mkdir()
    node.config.write_text(f'storage "file" {{\n  path = "{node.data}"\n}}\ndisable_mlock = true\ndefault_lease_ttl = "1h"\n')
    (folder / "10-listeners.hcl").write_text(
        TCP.format(host=node.host, port=node.port, certificate=node.certificate, key=node.key, more="") + f'api_addr = "{node.address}"\n')
    (folder / "20-unix.hcl").write_text(UNIX.format(path=node.unix, more=""))
    (folder / "30-rest.json").write_text(json.dumps({"cluster_name": "merged", "max_lease_ttl": "2h", "read_workers": 1}))
    (folder / "40-seal.hcl").write_text(STATIC)
    (folder / "ignored.txt").write_text("no configuration")
    node.arguments = (f"-config={folder}",)
    node.begin()
    client = node.client()
    assert client.get("sys/health").json["cluster_name"] == "merged"
    mount(client, "kv")
    tuned = client.get("sys/mounts/kv/tune").ok().data
    assert (tuned["default_lease_ttl"], tuned["max_lease_ttl"]) == (3_600, 7_200)
    assert len(node.worker_pids()) == 1
    assert node.main().get("sys/health").status == 200


def test_peer_bug_39_storage_that_fails_under_many_writes_leaves_nobody_waiting(make_node: MakeNode) -> None:
    """Storage fails under writes: no deadlock, nothing acknowledged lost, and writes go on once there is room."""
    node = make_node(workers=1)
    with small_disk(node.folder / "disk", 160 << 20) as disk:
        node.data = disk / "data"
        node.write_config()
        node.begin()
        mount(node.client(), "kv", options={"version": "1"})
        kept: list[str] = []
        statuses: set[int] = set()
        full = threading.Event()

        def write(number: int) -> None:
            mine, turn = node.client() if number % 2 else node.main(), 0
            while not full.is_set() or turn % 5:
                turn += 1
                name = f"{number}-{turn}"
                answer = mine.post(f"kv/{name}", {"name": name})
                statuses.add(answer.status)
                if answer.status == 204:
                    kept.append(name)

        threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(kept) > 50, "writes go on")
        ballast = fill(disk)
        wait_until(lambda: 503 in statuses, "the disk is full")
        full.set()
        for thread in threads:
            thread.join(20)
            assert not thread.is_alive(), "a writer still waits for its answer"
        assert statuses == {204, 503}
        client = node.client()
        for name in kept:
            assert client.get(f"kv/{name}").ok().data == {"name": name}
        ballast.unlink()
        wait_until(lambda: client.post("kv/after", {"a": "b"}).status == 204, "there is room again")
        assert node.stop() == 0


def test_peer_bug_40_the_changes_that_a_worker_sees_do_not_pile_up(make_node: MakeNode) -> None:
    """A standby sees change after change: its memory does not grow with each."""
    node = make_node(workers=1).begin()
    client, main = node.client(), node.main()
    mount(client, "kv")
    worker = node.worker_pids()[0]

    def work(turns: int) -> None:
        for turn in range(turns):
            main.post(f"kv/data/{turn % 97}", {"data": {"turn": turn, "text": "x" * 1_000}}).ok()
            if not turn % 7:
                client.get(f"kv/data/{turn % 97}").ok()

    work(700)                                        # caches fill up, memory settles
    before = {pid: memory_bytes(pid) for pid in (worker, node.pid)}
    work(2_000)
    grown = {pid: memory_bytes(pid) - before[pid] for pid in before}
    assert all(more < MEMORY_MAX_BYTES for more in grown.values()), f"worker, main: {[more >> 10 for more in grown.values()]} KiB more"


def test_peer_bug_41_strangers_cost_no_memory_and_disturb_no_operator(make_node: MakeNode) -> None:
    """Unauthenticated calls to join, init, rekey and unseal: no memory is held, no operator's progress is lost."""
    node = make_node(workers=1, static=False)
    node.start()
    shares = node.initialise(3, 2)["keys"]
    operator, stranger = node.client(""), node.client("")

    def disturb(turns: int) -> None:
        for turn in range(turns):
            for path, body in (("sys/storage/raft/join", {"leader_api_addr": f"https://a{turn}:8200", "retry": True}),
                               ("sys/storage/raft/bootstrap", {"x": "y" * 10_000}),
                               ("sys/init", {"secret_shares": 1, "secret_threshold": 1}),
                               ("sys/unseal", {"key": f"{turn:066x}"[:40]}), ("sys/rekey/init", {}), ("sys/generate-root/attempt", {})):
                assert stranger.post(path, body).status >= 400

    disturb(30)
    operator.post("sys/unseal", {"key": shares[0]}).ok()
    before = memory_bytes(node.pid)
    disturb(150)
    assert memory_bytes(node.pid) - before < MEMORY_MAX_BYTES
    assert operator.get("sys/seal-status").json["progress"] == 1, "the operator's share is still there"
    assert not operator.post("sys/unseal", {"key": shares[2]}).ok().json["sealed"]


def test_peer_bug_42_wrong_passwords_count_together_wherever_they_come_in(make_node: MakeNode) -> None:
    """Five wrong passwords, each through another process: the identity is not still open in any, nor after a step-down."""
    node = make_node(workers=2).begin()
    node.client().post("sys/auth/up", {"type": "userpass"}).ok()
    node.client().post("auth/up/users/ann", {"password": "right"}).ok()
    for turn in range(4):
        where = node.main("") if turn == 0 else node.client("")
        assert where.post("auth/up/login/ann", {"password": "wrong"}).status == 400
    assert node.client("").post("auth/up/login/ann", {"password": "right"}).status == 200, "four are none too many"
    for turn in range(5):
        where = node.main("") if turn == 0 else node.client("")
        assert where.post("auth/up/login/ann", {"password": "wrong"}).status == 400
    for where in (node.main(""), *(node.client("") for _ in range(6))):
        assert where.post("auth/up/login/ann", {"password": "right"}).status == 403
    assert node.client().post("sys/step-down").status == 204
    assert node.client("").post("auth/up/login/ann", {"password": "right"}).status == 403


def test_peer_bug_43_a_wrapping_token_is_taken_once_however_many_ask(make_node: MakeNode) -> None:
    """One wrapping token at all processes at once: it is not unwrapped twice."""
    node = make_node(workers=2).begin()
    for _ in range(5):
        wrapped = node.client().post("sys/wrapping/wrap", {"a": "b"}, headers={"X-Vault-Wrap-TTL": "60"}).ok().json
        assert sorted(_statuses_of_unwrapping(node, wrapped["wrap_info"]["token"])) == [200] + [400] * 11


def _statuses_of_unwrapping(node: Node, token: str) -> list[int]:
    clients = [node.main("") if number % 4 == 0 else node.client("") for number in range(12)]
    return at_once(lambda mine: mine.post("sys/wrapping/unwrap", token=token).status, clients)


ASKS = (("GET", "kv/data/a", None, 200), ("GET", "kv/data/none", None, 404), ("GET", "sys/mounts", None, 403),
        ("POST", "kv/data/none", {"data": 1}, 400), ("GET", "auth/token/lookup-self", None, 200),
        ("POST", "kv/data/none", {"options": {"cas": "x"}}, 400))
FEW = 'path "kv/data/a" { capabilities = ["read"] }\npath "kv/data/none" { capabilities = ["read", "create"] }'


def test_peer_bug_44_a_token_of_few_uses_has_so_many_on_all_processes_together(make_node: MakeNode) -> None:
    """A token of N uses spent on answers of every kind in all processes: there are no more than N, and no fewer."""
    node = make_node(workers=2).begin()
    root = node.client()
    mount(root, "kv")
    root.post("kv/data/a", {"data": {}}).ok()
    policy(root, "few", FEW)
    for uses in (1, 2, 7, 12):
        token = new_token(root, "few", num_uses=uses)
        clients = [node.main(token) if number % 3 == 0 else node.client(token) for number in range(18)]
        for number, mine in enumerate(clients):      # one after the other: each kind of answer spends a use
            method, path, body, status = ASKS[number % len(ASKS)]
            answer = mine.ask(method, path, body)
            assert answer.status == (status if number < uses else 403), f"{number} of {uses}: {method} {path}"
            assert _is_bad_token(answer) is (number >= uses)
    for uses in (1, 5, 11):                          # and all at once
        answers = _answers_at_once(node, new_token(root, "few", num_uses=uses))
        assert len(answers) == 18
        assert sum(not _is_bad_token(answer) for answer in answers) == uses


def _is_bad_token(answer: Answer) -> bool:
    """A policy's refusal is a 403 as well, and spends a use."""
    return answer.status == 403 and "invalid token" in answer.errors[0]


def _answers_at_once(node: Node, token: str) -> list[Answer]:
    clients = [node.main(token) if number % 3 == 0 else node.client(token) for number in range(18)]
    return at_once(lambda each: each[0].ask(*each[1][:3]), zip(clients, ASKS * 3, strict=True))


def test_peer_bug_45_a_request_through_a_worker_happens_once(make_node: MakeNode) -> None:
    """A write through a standby: not two audit pairs, not two calls outside, not two ids."""
    node = make_node(workers=1, contract=True).begin()
    client = node.client()
    file = node.folder / "audit.log"
    mount(client, "con", "contract")
    client.post("con/world", {"folder": str(node.folder)}).ok()
    client.post("sys/audit/file", {"type": "file", "options": {"file_path": str(file)}}).ok()
    before = client.get("sys/health").json["last_wal"]
    client.post("con/call/once").ok()
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    mine = [line for line in lines if line["request"].get("path") == "con/call/once"]
    assert [line["type"] for line in mine] == ["request", "response"]
    assert len({line["request"]["id"] for line in mine}) == 1
    assert world.calls(node.folder) == ("create once",), "the outside sees one call"
    client.post("con/spend/s").ok()
    assert client.get("sys/health").json["last_wal"] - before <= 3
    made = client.get("con/creds/u?ttl=1h").ok()
    ids = {line["request"]["id"] for line in map(json.loads, file.read_text().splitlines()) if line["request"].get("path") == "con/creds/u"}
    assert ids == {made.json["request_id"]}, "the id that the client was told"
