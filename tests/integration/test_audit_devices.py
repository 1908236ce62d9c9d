"""Audit devices of a real node: one pair of lines for each request wherever it came in, no secret in them, and no service without one.

Invariant 7.
"""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.client import Client
from tests.conftest import MakeNode
from tests.disks import fill, small_disk
from tests.node import Node, mount
from tests.processes import wait_until

NO_DEVICE = "no audit backend succeeded in logging the request"


def _enable(client: Client, file: Path, path: str = "file", **options: str) -> None:
    client.post(f"sys/audit/{path}", {"type": "file", "options": {"file_path": str(file), **options}}).ok()


def _lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def _pairs(file: Path, path: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Request and response of each request to `path`, by its id."""
    found: dict[str, list[dict[str, Any]]] = {}
    for line in _lines(file):
        if line["request"].get("path") == path:
            found.setdefault(line["request"]["id"], []).append(line)
    for id, lines in found.items():
        assert [line["type"] for line in lines] == ["request", "response"], f"{id}: {[line['type'] for line in lines]}"
    return [(lines[0], lines[1]) for lines in found.values()]


def _node(make_node: MakeNode) -> tuple[Node, Path]:
    node = make_node(workers=1).begin()
    mount(node.client(), "kv", options={"version": "1"})
    file = node.folder / "audit.log"
    _enable(node.client(), file)
    return node, file


def test_one_pair_of_lines_for_each_request_wherever_it_comes_in(make_node: MakeNode) -> None:
    node, file = _node(make_node)
    for where, client in (("worker", node.client()), ("main", node.main())):
        assert client.post(f"kv/{where}", {"x": "very secret value"}).status == 204
        read = client.get(f"kv/{where}").ok()
        assert client.get(f"kv/{where}", token="hvs.nobody").status == 403
        assert client.get(f"kv/{where}", token="").status in (400, 403)
        pairs = _pairs(file, f"kv/{where}")
        assert [pair[0]["request"]["operation"] for pair in pairs] == ["create", "read", "read", "read"]
        assert pairs[1][0]["request"]["id"] == read.json["request_id"]
        assert all("error" not in request and "error" not in response for request, response in pairs[:2])
        assert all(request["error"] and response["error"] for request, response in pairs[2:])
        assert pairs[1][1]["response"]["data"]["x"].startswith("hmac-sha256:")
    text = file.read_text()
    assert "very secret value" not in text
    assert node.root_token not in text


def test_what_is_hashed_can_be_found_again(make_node: MakeNode) -> None:
    node, file = _node(make_node)
    client = node.client()
    client.post("kv/a", {"x": "very secret value"}).ok()
    hashes = [where.post("sys/audit-hash/file", {"input": "very secret value"}).ok().data["hash"] for where in (client, node.main())]
    assert hashes[0] == hashes[1]
    assert _pairs(file, "kv/a")[0][0]["request"]["data"]["x"] == hashes[0]
    token = client.post("sys/audit-hash/file", {"input": node.root_token}).ok().data["hash"]
    assert _pairs(file, "kv/a")[0][0]["request"]["client_token"] == token


def test_a_device_that_cannot_be_opened_is_not_enabled(make_node: MakeNode) -> None:
    node = make_node(workers=1).begin()
    client = node.client()
    before = client.get("sys/health").json["last_wal"]
    (node.folder / "no-folder").touch()
    for path in (node.folder, node.folder / "no-folder" / "audit.log", Path("/proc/no/such")):
        refused = client.post("sys/audit/file", {"type": "file", "options": {"file_path": str(path)}})
        assert refused.status == 400, f"{path}: {refused}"
        assert refused.errors[0]
    assert client.get("sys/audit").ok().data == {}
    assert client.get("sys/health").json["last_wal"] <= before + 6, "at most the trace of each attempt"
    assert client.get("sys/mounts").status == 200


def _break(file: Path) -> Path:
    """The file becomes a folder; gives where it has gone. Processes that have it open are told by SIGHUP, or by the test's own."""
    aside = file.with_suffix(".aside")
    file.rename(aside)
    file.mkdir()
    return aside


def test_no_working_device_no_service_and_nothing_is_changed(make_node: MakeNode) -> None:
    node, file = _node(make_node)
    client, main = node.client(), node.main()
    client.post("kv/a", {"x": "1"}).ok()
    node.stop()
    aside = _break(file)
    node.start()
    client, main = node.client(), node.main()
    wait_until(lambda: client.get("sys/health").status == 200, "health is told without a device")
    index = client.get("sys/health", token="").json["last_wal"]
    for where in (client, main):
        for refused in (where.get("kv/a"), where.post("kv/a", {"x": "2"}), where.list("kv/"), where.get("sys/mounts"),
                        where.get("kv/a", token=""), where.post("auth/token/create", {}), where.delete("kv/a")):
            assert refused.status == 500, refused
            assert NO_DEVICE in refused.errors[0]
            assert not refused.index
    assert client.get("sys/health", token="").json["last_wal"] == index, "nothing was written"
    assert main.get("sys/seal-status").status == 200
    file.rmdir()
    wait_until(lambda: client.get("kv/a").status == 200, "a device that works again is found by itself")
    wait_until(lambda: main.get("kv/a").status == 200, "in main, too")
    assert client.get("kv/a").data == {"x": "1"}
    assert node.log_text.count("audit.failed") <= 4, "trouble is reported once for each process, not for each request"
    assert "audit.works_again" in node.log_text
    assert aside.stat().st_size


def test_one_working_device_of_two_is_enough(make_node: MakeNode) -> None:
    node, file = _node(make_node)
    second = node.folder / "second.log"
    _enable(node.client(), second, "second")
    node.stop()
    _break(file)
    node.start()
    for where in (node.client(), node.main()):
        where.post("kv/a", {"x": "1"}).ok()
        where.get("kv/a").ok()
    assert len(_pairs(second, "kv/a")) == 4


def test_a_full_disk_stops_service_and_its_end_brings_it_back(make_node: MakeNode) -> None:
    node = make_node(workers=1).begin()
    client = node.client()
    mount(client, "kv", options={"version": "1"})
    with small_disk(node.folder / "disk", 256 << 10) as disk:
        file = disk / "audit.log"
        _enable(client, file)
        client.post("kv/before", {"x": "1"}).ok()
        ballast = fill(disk)
        kept, refused = _until_refused(client)
        assert NO_DEVICE in refused.errors[0]
        wait_until(lambda: client.get("kv/before").status == 500, "reads are refused as well")
        assert client.get("sys/health", token="").status == 200
        ballast.unlink()
        wait_until(lambda: client.get("kv/before").status == 200, "there is room again")
        for name in kept:
            assert client.get(f"kv/{name}").ok().data == {"x": name}, "what was acknowledged is there"
        _check_lines(file, acknowledged=kept)
        client.delete("sys/audit/file").ok()
        assert node.stop() == 0


def _until_refused(client: Client) -> tuple[list[str], Any]:
    """Writes until the device is full: in the middle of a line, before a request's entry or between it and its response's."""
    kept: list[str] = []
    while True:
        name = f"n{len(kept)}"
        answer = client.post(f"kv/{name}", {"x": name})
        if answer.status != 204:
            assert answer.status == 500
            return kept, answer
        kept.append(name)
        assert len(kept) < 2_000, "the disk is never full"


def _check_lines(file: Path, *, acknowledged: list[str]) -> None:
    """Whole lines, but for those that the full disk has cut; of what was acknowledged both are there."""
    seen: dict[str, set[str]] = {}
    cut = 0
    for line in file.read_text().splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            cut += 1
        else:
            seen.setdefault(entry["request"].get("path", ""), set()).add(entry["type"])
    assert cut <= 3, "a line that is cut is ended before the next one"
    for name in acknowledged:
        assert seen[f"kv/{name}"] == {"request", "response"}


def test_what_failed_only_at_its_response_is_committed(make_node: MakeNode) -> None:
    """Vault's behaviour, and ours: the client is told of an error, and the write is there."""
    node = make_node(workers=1).begin()
    client = node.client()
    mount(client, "kv", options={"version": "1"})
    with small_disk(node.folder / "disk", 1 << 20) as disk:
        file = disk / "audit.log"
        _enable(client, file)
        outcomes = set()
        for turn in range(40):
            ballast = fill(disk)
            kept, _ = _until_refused(client)
            ballast.unlink()
            wait_until(lambda: client.get("sys/mounts").status == 200, "there is room again")
            outcomes.add(client.get(f"kv/n{len(kept)}").status)
            for name in [*kept, f"n{len(kept)}"]:
                client.delete(f"kv/{name}").ok()
            client.get("sys/policies/acl/" + "p" * (turn * 37 % 400))   # so that the next edge lies elsewhere in a pair of lines
            if outcomes == {200, 404}:
                break
        assert outcomes <= {200, 404}
        assert 404 in outcomes, "refused before its entry was written: it never happened"
        client.delete("sys/audit/file").ok()
        assert node.stop() == 0


def test_disabling_ends_the_lines_in_every_process(make_node: MakeNode) -> None:
    node, file = _node(make_node)
    client, main = node.client(), node.main()
    client.get("kv/none")
    main.get("kv/none")
    client.delete("sys/audit/file").ok()
    size = file.stat().st_size
    for _ in range(3):
        client.get("kv/none")
        main.get("kv/none")
    assert file.stat().st_size == size
    client.delete("sys/audit/file").ok()


def test_log_raw_shows_what_it_was_asked_to_show(make_node: MakeNode) -> None:
    node = make_node(workers=1).begin()
    client = node.client()
    file = node.folder / "audit.log"
    _enable(client, file, log_raw="true", prefix="here: ")
    mount(client, "kv", options={"version": "1"})
    client.post("kv/a", {"x": "shown"}).ok()
    lines = [line for line in file.read_text().splitlines() if '"kv/a"' in line]
    assert len(lines) == 2
    assert all(line.startswith("here: {") for line in lines)
    assert json.loads(lines[0].removeprefix("here: "))["request"]["data"] == {"x": "shown"}
