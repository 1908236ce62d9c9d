"""A node from its first start over init, unseal, seal and restart to its end, as its clients see it."""
from __future__ import annotations

import base64
import re

from tests.client import Client
from tests.conftest import MakeNode
from tests.node import Node, mount
from tests.processes import wait_until

SEALED = ["Vault is sealed"]


def test_a_new_node_is_neither_initialised_nor_open(make_node: MakeNode) -> None:
    node = make_node(static=False)
    node.start()
    for client in (node.client(""), node.main("")):
        assert client.get("sys/init").json == {"initialized": False}
        assert client.get("sys/health").status == 501
        status = client.get("sys/seal-status").json
        assert (status["initialized"], status["sealed"], status["type"], status["t"], status["n"]) == (False, True, "shamir", 0, 0)
        refused = client.get("secret/data/a", token="hvs.none")
        assert (refused.status, refused.errors) == (503, SEALED)
        assert client.post("sys/unseal", {"key": "00" * 33}).status == 400


def test_init_once_then_unseal_by_shares(make_node: MakeNode) -> None:
    node = make_node(static=False)
    node.start()
    made = node.initialise(5, 3)
    assert len(made["keys"]) == len(made["keys_base64"]) == 5
    assert [base64.b64decode(text).hex() for text in made["keys_base64"]] == made["keys"]
    again = node.client("").post("sys/init", {"secret_shares": 1, "secret_threshold": 1})
    assert again.status == 400
    assert again.errors == ["Vault is already initialized"]

    client = node.client("")
    assert client.get("sys/health").status == 503
    first = client.post("sys/unseal", {"key": made["keys"][0]}).ok().json
    assert (first["progress"], first["t"], first["n"], first["sealed"]) == (1, 3, 5, True)
    assert first["nonce"]
    twice = client.post("sys/unseal", {"key": made["keys_base64"][0]}).ok().json     # the same share counts once, however it is written
    assert (twice["progress"], twice["nonce"]) == (1, first["nonce"])
    second = client.post("sys/unseal", {"key": made["keys"][4]}).ok().json
    assert (second["progress"], second["nonce"]) == (2, first["nonce"])
    last = client.post("sys/unseal", {"key": made["keys"][2]}).ok().json
    assert (last["sealed"], last["progress"], last["nonce"]) == (False, 0, "")
    assert re.fullmatch(r"vault-cluster-[0-9a-f]{8}", last["cluster_name"])
    node.wait_unsealed()
    assert node.client().get("auth/token/lookup-self").ok().data["policies"] == ["root"]


def test_wrong_shares_are_refused_and_forgotten(make_node: MakeNode) -> None:
    node = make_node(static=False)
    node.start()
    shares = node.initialise(3, 2)["keys"]
    client = node.client("")
    wrong = shares[1][:10] + ("0" if shares[1][10] != "0" else "1") + shares[1][11:]
    client.post("sys/unseal", {"key": shares[0]}).ok()
    refused = client.post("sys/unseal", {"key": wrong})
    assert refused.status == 400
    assert wrong not in refused.body.decode()
    assert client.get("sys/seal-status").json["progress"] == 0
    for bad in ("", "xyz!", "00", 17, shares[0] + "00"):
        refused = client.post("sys/unseal", {"key": bad})
        assert 400 <= refused.status < 500, f"{bad!r}: {refused}"
        client.post("sys/unseal", {"reset": True}).ok()
    node.unseal()


def test_reset_forgets_the_shares_given_so_far(make_node: MakeNode) -> None:
    node = make_node(static=False)
    node.start()
    shares = node.initialise(3, 2)["keys"]
    client = node.client("")
    client.post("sys/unseal", {"Key": shares[0]}).ok()           # as old clients write it
    status = client.post("sys/unseal", {"reset": True}).ok().json
    assert (status["progress"], status["nonce"]) == (0, "")
    assert client.post("sys/unseal", {"key": shares[1]}).ok().json["sealed"]
    node.unseal()
    refused = client.post("sys/unseal", {"reset": True})
    assert (refused.status, refused.errors) == (400, ["vault is unsealed"])


def test_seal_closes_every_process_at_once_and_data_survives_it(make_node: MakeNode) -> None:
    node = make_node(static=False, workers=2).begin()
    connections = [node.client() for _ in range(8)]                  # so that both workers are reached
    mount(connections[0], "kv")
    connections[0].post("kv/data/a", {"data": {"x": "1"}}).ok()
    for client in connections:
        assert client.get("kv/data/a").ok().data["data"] == {"x": "1"}
    assert connections[0].post("sys/seal").status == 204
    for client in connections:
        refused = client.get("kv/data/a")
        assert (refused.status, refused.errors) == (503, SEALED), "nothing is read once a seal has been answered"
        assert client.post("kv/data/a", {"data": {"x": "2"}}).status == 503
        assert client.post("sys/seal").status == 204, "sealed already: that is what was asked for"
    node.unseal()
    for client in connections:
        assert client.get("kv/data/a").ok().data["data"] == {"x": "1"}


def test_seal_needs_sudo(make_node: MakeNode) -> None:
    node = make_node().begin()
    root = node.client()
    token = root.post("auth/token/create", {"policies": ["default"]}).ok().auth["client_token"]
    assert root.post("sys/seal", token=token).status == 403
    assert root.post("sys/seal", token="").status == 403
    assert root.get("sys/health").status == 200


def test_restart_by_shares_keeps_all(make_node: MakeNode) -> None:
    node = make_node(static=False)
    node.start()
    node.initialise(3, 2)
    node.unseal()
    mount(node.client(), "kv")
    node.client().post("kv/data/a", {"data": {"x": "1"}}).ok()
    before = node.client().get("sys/leader").json
    assert node.stop() == 0
    node.start()
    assert node.client().get("sys/seal-status").json["sealed"]
    node.shares = node.shares[::-1]
    node.unseal()
    assert node.client().get("kv/data/a").ok().data["data"] == {"x": "1"}
    assert node.client().get("sys/leader").json["ha_enabled"] is before["ha_enabled"] is False


def test_static_seal_opens_itself_and_recovery_keys_are_made(make_node: MakeNode) -> None:
    node = make_node()
    node.start()
    made = node.initialise(3, 2)
    assert made["keys"] == made["keys_base64"] == []
    assert len(made["recovery_keys"]) == len(made["recovery_keys_base64"]) == 3
    status = node.client("").get("sys/seal-status").json
    assert (status["type"], status["recovery_seal"], status["t"], status["n"]) == ("static", True, 2, 3)
    node.kill()
    node.start()
    node.wait_unsealed()
    assert node.client().get("auth/token/lookup-self").ok().data["policies"] == ["root"]
    assert node.client().post("sys/seal").status == 204
    assert node.client("").get("sys/seal-status").json["sealed"]
    assert not node.client("").post("sys/unseal", {"key": made["recovery_keys"][0]}).ok().json["sealed"], "as a seal that opens itself"


def test_a_static_seal_with_another_key_does_not_open(make_node: MakeNode) -> None:
    node = make_node().begin()
    assert node.stop() == 0
    text = node.config.read_text()
    other = base64.b64encode(b"another key of thirty-two bytes!").decode()
    node.config.write_text(re.sub(r'current_key    = "[^"]+"', f'current_key    = "{other}"', text))
    node.launch()
    assert node.wait_ended() == 1
    assert other not in node.log_text
    node.config.write_text(text)
    node.start()
    node.wait_unsealed()


def test_init_parameters_of_the_other_seal_are_refused(make_node: MakeNode) -> None:
    node = make_node()
    node.start()
    for body in ({"secret_shares": 1, "secret_threshold": 1}, {"recovery_shares": 2, "recovery_threshold": 3},
                 {"recovery_shares": 300, "recovery_threshold": 2}, {"recovery_shares": -1}, {"recovery_shares": "many"}):
        refused = node.client("").post("sys/init", body)
        assert refused.status == 400, f"{body}: {refused.body!r}"
        assert refused.errors
    assert node.client("").get("sys/init").json == {"initialized": False}


def test_memory_forgets(make_node: MakeNode) -> None:
    node = make_node(storage="inmem", workers=0).begin()
    mount(node.client(), "kv")
    assert node.stop() == 0
    node.start()
    assert node.client().get("sys/init").json == {"initialized": False}


def test_a_second_process_on_the_same_data_does_not_start(make_node: MakeNode) -> None:
    node = make_node().begin()
    other = make_node()
    other.data = node.data
    other.write_config()
    other.launch()
    assert other.wait_ended() == 1
    assert str(node.data) in other.log_text
    assert node.client().get("sys/health").status == 200


def test_health_tells_what_it_was_asked_to_tell(node: Node, client: Client) -> None:
    assert client.ask("HEAD", "sys/health", token="").status == 200
    assert client.get("sys/health?activecode=299", token="").status == 299
    assert client.get("sys/health?sealedcode=299&standbyok=true", token="").status == 200
    assert client.get("sys/health?activecode=204", token="").body == b""
    assert client.get("sys/health?activecode=no", token="").status == 400
    refused = client.post("sys/health", token="")
    assert (refused.status, refused.errors) == (405, [])
    for where in (client, node.main()):
        body = where.get("sys/health", token="").json
        assert (body["initialized"], body["sealed"], body["standby"], body["enterprise"]) == (True, False, False, False)
        assert body["version"].startswith("1.17.0+holdfast.")


def test_health_of_a_worker_follows_a_write(node: Node, client: Client) -> None:
    before = client.get("sys/health").json["last_wal"]
    client.post("sys/policies/acl/counted", {"policy": 'path "a" { capabilities = ["read"] }'}).ok()
    for where in (client, node.main()):
        wait_until(lambda where=where: where.get("sys/health").json["last_wal"] > before, "one more batch")  # type: ignore[misc]
