"""KV version 2 reads over TLS, beside nginx with equal bytes on the same core."""
from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from tests.node import Node

from bench import nginx, wrk
from bench.figures import Failed, Figures, Result
from bench.world import KEYS, MOUNT, World, key, mount_with_keys, one_read, tokens
from bench.wrk import Ask, Contender, alternate, write_requests
from holdfast.limits import DERIVED_ENTRIES_MAX

TOKENS = 200_000


def kv_read(world: World) -> Result:
    """One token, 1,000 keys, no audit device."""
    return _beside_nginx(world, "0.55, goal 0.75")


def kv_read_audit(world: World) -> Result:
    """The same with one audit device, a file."""
    return _beside_nginx(world, "0.40", audit=True)


def kv_read_tokens(world: World) -> Result:
    """The same with 200,000 tokens in rotation, of which a process remembers far fewer."""
    return _beside_nginx(world, "0.30", count=world.size(TOKENS, 200))


def _beside_nginx(world: World, target: str, *, audit: bool = False, count: int = 0) -> Result:
    wrk.require()
    nginx.require()
    keys = world.size(KEYS, 50)
    with world.node() as node, ExitStack() as others:
        token = mount_with_keys(node, keys)
        if audit:
            node.main().post("sys/audit/bench", {"type": "file", "options": {"file_path": str(node.folder / "audit.log")}}).ok()
        asking = tokens(node, count, node.root_token, policies=[MOUNT]) if count else [token]
        asks: list[Ask] = [("GET", f"/v1/{MOUNT}/data/{key(number % keys)}", asking[number % len(asking)], "")
                           for number in range(max(keys, len(asking)))]
        requests = write_requests(node.folder / "requests", asks)
        contenders = [world.contender(node, requests)]
        url, pid = others.enter_context(nginx.serving(node.folder / "nginx", one_read(node, token), node.certificate, node.key))
        contenders.append(Contender(name="nginx", url=url, requests=requests, pids=lambda: [pid]))
        if not audit and not count:
            contenders += others.enter_context(world.peer_contender(asks, keys=keys))
        found = alternate(contenders, seconds=world.seconds, rounds=world.rounds)
        notes = [*_audited(node, audit)]
        if count:
            notes.append(("tokens", f"{count:,} in rotation; a process remembers {DERIVED_ENTRIES_MAX:,} values"))
    return Result(rows=[*found.items(), *notes], ratios=_ratios(found, target))


def _audited(node: Node, audit: bool) -> Sequence[tuple[str, str]]:
    if not audit:
        return ()
    size = (node.folder / "audit.log").stat().st_size
    if not size:
        raise Failed("the audit device has written nothing")
    return [("audit", f"{size / 1e6:,.0f} MB of lines written")]


def _ratios(found: dict[str, Figures], target: str) -> list[tuple[str, float, str | None]]:
    ours, theirs = found["holdfast"], found["nginx"]
    ratios: list[tuple[str, float, str | None]] = [("holdfast / nginx, requests/s", ours.requests_s / theirs.requests_s, target)]
    if ours.cpu_us and theirs.cpu_us:
        ratios.append(("nginx / holdfast, CPU a request", theirs.cpu_us / ours.cpu_us, None))
    if "peer" in found:
        ratios.append(("holdfast / peer, requests/s", ours.requests_s / found["peer"].requests_s, None))
    return ratios
