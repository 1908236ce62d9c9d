"""The storage of a real node: keys that rotate, a disk that fills up and has room again."""
from __future__ import annotations

import os
import signal

from tests.conftest import MakeNode
from tests.disks import fill, small_disk
from tests.node import Node, mount
from tests.processes import wait_until

FEW = {"KEY_ENCRYPTIONS_CEILING": 100, "KEY_ENCRYPTIONS_MAX": 100}


def test_a_key_that_has_encrypted_enough_is_followed_by_the_next(make_node: MakeNode) -> None:
    node = make_node(workers=2, limits=FEW).begin()
    client, main = node.client(), node.main()
    mount(client, "kv", options={"version": "1"})
    for number in range(250):
        client.post(f"kv/{number}", {"number": number}).ok()
    term = main.get("sys/key-status").ok().data["term"]
    assert term >= 3, "250 values, at most 100 a term"
    for where in (client, *(node.client() for _ in range(6)), main):
        status = where.get("sys/key-status").ok().data
        assert status["term"] == term, "every process has followed"
        assert status["encryptions"] <= 100
    for where in (client, main):
        for number in range(0, 250, 3):
            assert where.get(f"kv/{number}").ok().data == {"number": number}, "old values stay readable"
    node.kill()
    node.start()
    client = node.client()
    assert client.get("sys/key-status").ok().data["term"] >= term
    for number in range(0, 250, 7):
        assert client.get(f"kv/{number}").ok().data == {"number": number}
        client.post(f"kv/{number}", {"number": -number}).ok()
        assert client.get(f"kv/{number}").ok().data == {"number": -number}


def test_a_worker_that_starts_later_has_all_terms(make_node: MakeNode) -> None:
    node = make_node(workers=1, limits=FEW).begin()
    mount(node.client(), "kv", options={"version": "1"})
    for number in range(150):
        node.main().post(f"kv/{number}", {"number": number}).ok()
    os.kill(node.worker_pids()[0], signal.SIGKILL)
    wait_until(lambda: node.log_text.count("worker.started") == 2, "another worker")
    client = node.client()
    for number in range(150):
        assert client.get(f"kv/{number}").ok().data == {"number": number}


def test_rotation_by_hand_is_followed_at_once(node: Node) -> None:
    client, main = node.client(), node.main()
    mount(client, "kv")
    for turn in range(5):
        term = client.get("sys/key-status").ok().data["term"]
        client.post(f"kv/data/{turn}", {"data": {"turn": turn}}).ok()
        assert client.post("sys/rotate").ok().index
        for where in (client, main):
            assert where.get("sys/key-status").ok().data["term"] == term + 1
        client.post(f"kv/data/{turn}-after", {"data": {"turn": turn}}).ok()
        for where in (client, main):
            for name in (f"{turn}", f"{turn}-after", "0"):
                assert where.get(f"kv/data/{name}").status == 200


def test_a_full_disk_refuses_writes_and_nothing_else(make_node: MakeNode) -> None:
    node = make_node(workers=1)
    with small_disk(node.folder / "disk", 160 << 20) as disk:
        node.data = disk / "data"
        node.write_config()
        node.begin()
        client, main = node.client(), node.main()
        mount(client, "kv", options={"version": "1"})
        for number in range(20):
            client.post(f"kv/{number}", {"number": number}).ok()
        ballast = fill(disk)
        refused = client.post("kv/more", {"number": -1})
        assert refused.status == 503, refused
        assert "cannot write" in refused.errors[0]
        for where in (client, main):
            assert where.post("kv/0", {"number": -1}).status == 503
            assert where.delete("kv/1").status == 503
            assert where.get("sys/health").status == 200
            for number in range(20):
                assert where.get(f"kv/{number}").ok().data == {"number": number}
            assert where.get("kv/more").status == 404
        node.kill()
        node.start()                                 # also a node that starts finds no room
        node.wait_unsealed()
        client = node.client()
        for number in range(20):
            assert client.get(f"kv/{number}").ok().data == {"number": number}
        assert client.post("kv/more", {"number": -1}).status == 503
        ballast.unlink()
        wait_until(lambda: client.post("kv/more", {"number": 20}).status == 204, "there is room again")
        assert client.get("kv/more").ok().data == {"number": 20}
        assert node.stop() == 0
        node.start()
        node.wait_unsealed()
        assert node.client().get("kv/more").ok().data == {"number": 20}
        node.stop()


def test_a_disk_that_fills_up_under_writes_loses_nothing_acknowledged(make_node: MakeNode) -> None:
    node = make_node(workers=1, limits={"DISK_RESERVE_BYTES": 4 << 20, "SEGMENT_BYTES": 1 << 20, "CHECKPOINT_AFTER_BYTES": 2 << 20})
    with small_disk(node.folder / "disk", 24 << 20) as disk:
        node.data = disk / "data"
        node.write_config()
        node.begin()
        client = node.client()
        mount(client, "kv", options={"version": "1"})
        kept: list[int] = []
        for number in range(400):
            answer = client.post(f"kv/{number}", {"number": number, "x": "x" * 100_000})
            if answer.status != 204:
                break
            kept.append(number)
        assert answer.status == 503, f"{len(kept)} writes, and the disk is not full"
        for number in kept:
            assert client.get(f"kv/{number}").ok().data["number"] == number
        node.kill()
        node.start()
        node.wait_unsealed()
        client = node.client()
        for number in kept:
            assert client.get(f"kv/{number}").ok().data["number"] == number
        assert client.get(f"kv/{len(kept)}").status == 404
        node.stop()
