"""What a standby passes on, and how: bodies whole, the client's own address, held while no node is active, or a redirect on request."""
from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest
from tests.client import Answer, Client
from tests.cluster_nodes import CALM, Cluster
from tests.node import mount, new_token, policy
from tests.processes import wait_until

CLUSTER = CALM
PIECE, PIECES = 700_000, 16                          # 11 MB: some frames, some reads, below the limits of a body and of a string in it
POLICY = 'path "fw/*" { capabilities = ["create", "read", "update", "delete", "list"] }'


@pytest.fixture(scope="module")
def token(shared_cluster: Cluster) -> str:
    client = shared_cluster.active.main()
    mount(client, "fw", options={"version": "1"})
    policy(client, "fw", POLICY)
    return new_token(client, "fw")


def test_peer_bug_24_a_large_body_arrives_whole(cluster: Cluster, token: str) -> None:
    one, other = cluster.standbys
    secret = {f"piece{number}": chr(97 + number) * PIECE for number in range(PIECES)}
    one.client(token).post("fw/large", secret).ok()
    for member in (other, cluster.active, one):
        assert member.client(token).get("fw/large").ok().data == secret, member.name
    cluster.wait_whole()
    one.client(token).delete("fw/large").ok()


def test_a_body_that_is_too_large_is_refused_where_it_arrives(cluster: Cluster, token: str) -> None:
    client = cluster.standbys[0].client(token)
    client.send(b"POST /v1/fw/huge HTTP/1.1\r\nHost: a\r\nX-Vault-Token: %s\r\nContent-Length: 40000000\r\n\r\n" % token.encode())
    assert client.receive().status == 413


def test_who_wants_no_forwarding_is_sent_to_the_active_node(cluster: Cluster, token: str) -> None:
    """A read is answered all the same: a performance standby need not pass it on."""
    standby, active = cluster.standbys[0], cluster.active
    client, headers = standby.client(token), {"X-Vault-No-Request-Forwarding": "true"}
    active.client(token).post("fw/a", {"a": 1}).ok()
    assert client.get("fw/a", headers=headers).ok().data == {"a": 1}
    answer = client.post("fw/b", {"a": 1}, headers=headers)
    assert (answer.status, answer.header("location")) == (307, f"{active.address}/v1/fw/b")
    assert active.client(token).get("fw/b").status == 404


def test_forwarding_by_header_is_refused_unless_it_is_allowed(cluster: Cluster, token: str) -> None:
    for headers in ({"X-Vault-Forward": "active-node"}, {"X-Vault-Inconsistent": "forward-active-node"}):
        assert cluster.standbys[0].client(token).get("fw/a", headers=headers).status == 400


def test_an_index_that_is_not_there_yet_is_412_and_one_that_is_there_is_not(cluster: Cluster, token: str) -> None:
    index = cluster.standbys[0].client(token).post("fw/index", {"a": 1}).ok().index
    assert index
    for member in cluster.members:
        assert member.client(token).get("fw/index", headers={"X-Vault-Index": index}).status == 200


def test_addresses_of_clients_are_their_own(cluster: Cluster) -> None:
    """A token that is bound to addresses is judged by the client's, not by the standby's."""
    root = cluster.active.main()
    made = []
    for name, bound in (("here", "127.0.0.1/32"), ("elsewhere", "192.0.2.0/24")):
        root.post(f"auth/token/roles/{name}", {"allowed_policies": "fw", "token_bound_cidrs": bound}).ok()
        made.append(root.post(f"auth/token/create/{name}", {"policies": ["fw"]}).ok().auth["client_token"])
    here, elsewhere = made
    for member in cluster.members:
        assert member.client(here).post("fw/bound", {"a": 1}).status == 204, member.name
        assert member.client(elsewhere).post("fw/bound", {"a": 1}).status == 403, member.name


def test_who_asked_and_which_node_passed_it_on_are_audited(cluster: Cluster, token: str, tmp_path: Path) -> None:
    """Where the request was run: with the client's own address."""
    root, journal = cluster.active.main(), tmp_path / "audit.log"
    root.post("sys/audit/journal", {"type": "file", "options": {"file_path": str(journal)}}).ok()
    try:
        for member in cluster.members:
            member.client(token).post(f"fw/by-{member.name}", {"a": 1}).ok()
    finally:
        root.delete("sys/audit/journal").ok()
    entries = [json.loads(line) for line in journal.read_text().splitlines()]
    for member in cluster.members:
        asked, answered = (entry for entry in entries if entry["request"]["path"] == f"fw/by-{member.name}")
        assert (asked["type"], answered["type"], asked["request"]["remote_address"]) == ("request", "response", "127.0.0.1")
        assert asked.get("forwarded_from") == (None if member is cluster.active else member.name)


def test_requests_wait_for_an_active_node(cluster: Cluster, token: str) -> None:
    """None is there for a second: both others are stopped. Writes and reads are held, and answered when there is one again."""
    survivor = cluster.standbys[0]
    others = [member for member in cluster.members if member is not survivor]
    answers: dict[str, tuple[Answer, float]] = {}

    def ask(method: str, path: str, body: object) -> None:
        client = Client(survivor.connect, token)
        began = time.monotonic()
        answers[method] = client.ask(method, path, body), time.monotonic() - began
        client.close()

    survivor.client(token).post("fw/wait", {"n": 0}).ok()
    for member in others:
        member.pause()
    time.sleep(0.4)                                  # longer than any lease
    threads = [threading.Thread(target=ask, args=given) for given in (("POST", "fw/wait", {"n": 1}), ("GET", "fw/wait", None))]
    try:
        for thread in threads:
            thread.start()
        time.sleep(1.0)
        assert not answers, "without a majority nothing is answered"
    finally:
        for member in others:
            member.resume()
        for thread in threads:
            thread.join()
    assert answers["POST"][0].status == 204
    assert answers["GET"][0].data["n"] in (0, 1)
    assert answers["POST"][1] > 0.5
    cluster.wait_whole()


def test_without_a_majority_requests_end_with_a_reason(cluster: Cluster, token: str) -> None:
    """Held for ten seconds at most, and then refused: 503, with the reason."""
    survivor = cluster.active
    others = [member for member in cluster.members if member is not survivor]
    client = survivor.client(token)
    for member in others:
        member.kill()
    wait_until(lambda: not survivor.is_active, "it knows that it is not active any more")
    answer = client.get("fw/none", headers={"X-Vault-No-Request-Forwarding": "1"})
    assert (answer.status, answer.errors) == (503, ["no active Vault instance found"]), "it is not sent back to where it asked"
    began = time.monotonic()
    answer = client.post("fw/none", {"n": 1})
    took = time.monotonic() - began
    client.close()
    assert answer.status == 503, answer
    assert answer.errors[0]
    assert took < 25
    assert survivor.main().get("sys/leader").ok().json["leader_address"] == "", "nor named as the leader that it was"
    assert survivor.cli("status").returncode == 0
