"""Clients of every node under open-loop load, in a process of their own; what they saw is counted, and checked for linearizability.

*Failed* is any error status, a reset or refused connection, or an answer later than 10 s. Nothing is sent again. Latency counts from the
time at which a request was due. Beside each worst figure stands what a probe of the machine saw in the same second.
"""
from __future__ import annotations

import itertools
import json
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from pathlib import Path

import msgspec
from tests.load_process import Order, Sample, Seen, Target
from tests.node import REPOSITORY, SOURCES, Node, mount, new_token, policy
from tests.processes import WITHIN_S, wait_until

from holdfast.testing.history import Act, Operation, by_key, show
from holdfast.testing.linearizable import check_versions

READY_WITHIN_S = 180.0
ENDS_WITHIN_S = 180.0
TRIES = 4
LATE_MS = 250.0                                      # a machine that lets a process wait so long says nothing of what waits for it
HELD_MS = 100.0                                      # an answer later than this was waiting for something
RATE_S = 100.0                                       # reads, and as many writes, at each node
MOUNT = "load"
POLICY = f'path "{MOUNT}/*" {{ capabilities = ["create", "read", "update", "delete", "list"] }}'
_numbers = itertools.count(1)


def prepare(at: Node, mount_path: str = MOUNT) -> str:
    """The mount that load goes to; gives a token for it."""
    client = at.main()
    mount(client, mount_path)
    policy(client, mount_path, POLICY.replace(MOUNT, mount_path))
    return new_token(client, mount_path, period="24h")


@dataclass(frozen=True, slots=True, kw_only=True)
class Worst:
    """A figure and the time it belongs to, with what the machine was late with in that second or the next."""

    ms: float
    at: float = 0.0
    scheduler_ms: float = 0.0
    disk_ms: float = 0.0

    def __str__(self) -> str:
        return f"{self.ms:.0f} ms (probe: scheduler {self.scheduler_ms:.0f}, disk {self.disk_ms:.0f} ms)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """`held`: of those completed, later than HELD_MS. `stall`: the longest time without a completed write. `errors`: each, how often.
    `lag_ms`: what the machine itself was late by at the most meanwhile."""

    offered: int
    completed: int
    held: int
    failed: int
    read_p50_ms: float
    read_p99_ms: float
    write_p50_ms: float
    write_p99_ms: float
    worst: Worst
    stall: Worst
    errors: dict[str, int]
    lag_ms: float

    def __str__(self) -> str:
        return (f"offered {self.offered:,}, completed {self.completed:,}, held {self.held:,}, failed {self.failed:,}; "
                f"longest time without a write {self.stall}; slowest answer {self.worst}")


class History:
    """What a load has seen. Times are CLOCK_MONOTONIC's, nodes are named."""

    def __init__(self, seen: Seen, names: Sequence[str], prefix: str, seconds: float) -> None:
        self.prefix = prefix                         # of the keys
        self.samples, self.lags, self.names = seen.samples, {lag.second: lag for lag in seen.lags}, list(names)
        self.cpu_share = seen.cpu_s / seconds        # of one core, by the client itself

    def counts(self, *, since: float = 0.0, until: float = inf, nodes: Iterable[Node] | None = None) -> Counts:
        """Of the requests that were due in that time at those nodes."""
        wanted = {self.names.index(node_name(node)) for node in nodes} if nodes is not None else set(range(len(self.names)))
        chosen = [each for each in self.samples if each.target in wanted and since <= each.due <= until]
        done = [each for each in chosen if is_done(each)]
        errors: dict[str, int] = {}
        for each in chosen:
            if not is_done(each):
                told = f"{self.names[each.target]} {'write' if each.write else 'read'} {each.status or ''} {each.error}"
                errors[told] = errors.get(told, 0) + 1
        reads, writes = ([_ms(each) for each in done if each.write is kind] or [0.0] for kind in (False, True))
        slowest = max(done, key=_ms, default=None)
        return Counts(
            offered=len(chosen), completed=len(done), held=sum(_ms(each) > HELD_MS for each in done), failed=len(chosen) - len(done),
            read_p50_ms=_percentile(reads, 50), read_p99_ms=_percentile(reads, 99), write_p50_ms=_percentile(writes, 50),
            write_p99_ms=_percentile(writes, 99), worst=self._worst(_ms(slowest), slowest.due) if slowest else Worst(ms=0.0),
            stall=self._stall(done, since, until), errors=errors, lag_ms=self._lag(chosen))

    def _lag(self, chosen: Sequence[Sample]) -> float:
        """While these requests were under way."""
        first, last = min((each.due for each in chosen), default=0.0), max((each.returned for each in chosen), default=0.0)
        lags = [lag for lag in self.lags.values() if first - 1 <= lag.second <= last]
        return max((max(lag.scheduler_ms, lag.loop_ms, lag.disk_ms) for lag in lags), default=0.0)

    def _stall(self, done: list[Sample], since: float, until: float) -> Worst:
        """Between two completed writes of any of the nodes; before the first one counts, if it is known when that time began."""
        times = sorted(each.returned for each in done if each.write)
        if not times:
            return Worst(ms=inf)
        gaps = [(after - before, before) for before, after in pairwise([*([since] if since else []), *times])]
        gap, at = max(gaps, default=(0.0, 0.0))
        return self._worst(gap * 1000, at)

    def _worst(self, ms: float, at: float) -> Worst:
        lags = [self.lags[second] for second in range(int(at), int(at + ms / 1000) + 1) if second in self.lags]
        return Worst(ms=ms, at=at, scheduler_ms=max((max(lag.scheduler_ms, lag.loop_ms) for lag in lags), default=0.0),
                     disk_ms=max((lag.disk_ms for lag in lags), default=0.0))

    def history(self) -> list[Operation]:
        """As the checkers want it. What was never sent is not in it, nor a read without an answer."""
        found = []
        for number, each in enumerate(self.samples):
            if not each.sent or not (each.write or is_done(each)):
                continue
            answered = is_done(each)
            value = str(each.value) if each.write or each.version else None
            found.append(Operation(
                client=number, key=f"{self.prefix}{each.key}", act=Act.WRITE if each.write else Act.READ, invoked=each.sent,
                returned=each.returned if answered else inf, value=value, version=each.version if answered else None,
                node=self.names[each.target]))
        return found

    def check(self) -> None:
        """Every key's history is linearizable, and no write took place twice."""
        for key, history in by_key(self.history()).items():
            why = check_versions(history)
            assert why is None, f"{why}\n{show(history)[-6000:]}"
            self._check_counts(key, history)

    def _check_counts(self, key: str, history: list[Operation]) -> None:
        """KV counts its writes: a number that no acknowledged write has belongs to one without an answer, and there are enough of those."""
        writes = [each for each in history if each.act is Act.WRITE]
        numbers = {each.version for each in writes if each.version is not None}
        highest = max((each.version or 0 for each in history), default=0)
        without_answer = sum(each.is_open for each in writes)
        assert highest - len(numbers) <= without_answer, (
            f"{key}: version {highest} after {len(numbers)} acknowledged writes and {without_answer} without an answer")

    def versions(self) -> dict[str, tuple[int, int]]:
        """Of each key: how many writes were acknowledged, and how many may have taken place."""
        found: dict[str, tuple[int, int]] = {}
        for each in self.samples:
            if each.write and each.sent:
                sure, perhaps = found.get(f"{self.prefix}{each.key}", (0, 0))
                found[f"{self.prefix}{each.key}"] = sure + is_done(each), perhaps + 1
        return found


class Load:
    """Begins with its block, and ends with it; `seen` is there after that, or after `stop`."""

    def __init__(self, nodes: Sequence[Node], token: str, *, folder: Path, reads_s: float = RATE_S, writes_s: float = RATE_S,
                 keys: int = 100, connections: int = 24, mount_path: str = MOUNT, seed: int = 1) -> None:
        self._nodes, number = list(nodes), next(_numbers)
        out = folder / f"load-{number}"
        self._order = Order(
            targets=[Target(node_name(node), node.host, node.port, reads_s, writes_s) for node in nodes], ca=str(nodes[0].ca), token=token,
            mount=mount_path, prefix=f"load-{number}-", keys=keys, connections=connections, seed=seed, out=str(out),
            probe=str(folder / f"probe-{number}"))
        self._errors = folder / f"load-{number}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._began = 0.0
        self._seen: History | None = None

    @property
    def seen(self) -> History:
        assert self._seen is not None, "the load has not ended"
        return self._seen

    def start(self) -> Load:
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.load_process"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, cwd=REPOSITORY,
                env={"PYTHONPATH": f"{SOURCES}:{REPOSITORY}", "PATH": "/usr/bin:/bin"})
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(self._order) + b"\n")
        self._process.stdin.flush()
        ready = select.select([self._process.stdout], [], [], READY_WITHIN_S)[0] and self._process.stdout.readline() == b"ready\n"
        if not ready:
            self._kill()
            raise AssertionError(f"the load did not begin: {self._errors.read_text()[-2000:]}")
        self._began = time.monotonic()
        return self

    def stop(self) -> History:
        """What is under way is waited for, at most as long as an answer may take."""
        if self._seen is None:
            assert self._process is not None
            seconds = time.monotonic() - self._began
            try:
                _, _ = self._process.communicate(b"stop\n", timeout=ENDS_WITHIN_S)
            finally:
                self._kill()
            out = Path(self._order.out)
            assert out.exists(), f"the load failed: {self._errors.read_text()[-2000:]}"
            self._seen = History(msgspec.msgpack.decode(out.read_bytes(), type=Seen), [node_name(node) for node in self._nodes],
                                 self._order.prefix, seconds)
            out.unlink()
        return self._seen

    def _kill(self) -> None:
        if self._process is not None:
            if self._process.poll() is None:
                self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()
            self._process = None

    def __enter__(self) -> Load:
        return self.start()

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.stop()
        else:
            self._kill()


def assert_unharmed(happen: Callable[[], Counts], stall_max_ms: float) -> None:
    """What happens harms no client, whose requests are the counts: none fails, and writes go on within that time.

    When the machine itself was late, which the probe tells, nobody can say whose delay a request has met: it happens once more then.
    """
    for left in reversed(range(TRIES)):
        counts = happen()
        assert counts.offered > 0
        if counts.failed == 0 and counts.stall.ms < stall_max_ms:
            return
        assert left > 0, f"{TRIES} times: {summary(counts)}"
        assert counts.lag_ms > LATE_MS, summary(counts)


def is_harmed(counts: Counts) -> bool:
    """Whether a request has failed, and the machine was not late itself meanwhile."""
    return counts.failed > 0 and counts.lag_ms <= LATE_MS


def node_name(node: Node) -> str:
    name: str = getattr(node, "name", "") or "node"
    return name


def is_done(sample: Sample) -> bool:
    """Answered in time, as it should be: a read also by "there is nothing"."""
    return sample.status == 200 or (sample.status == 404 and not sample.write and not sample.error)


def wait_writing(nodes: Sequence[Node], token: str, mount_path: str = MOUNT, within_s: float = WITHIN_S) -> None:
    """Until a write through each of them completes."""
    for node in nodes:
        client = node.client(token)
        wait_until(lambda client=client: client.post(f"{mount_path}/data/probe", {"data": {}}).status == 200, "writes", within_s)  # type: ignore[misc]


def summary(counts: Counts) -> str:
    return f"{counts}\n{json.dumps(counts.errors, indent=1)}"


def _ms(sample: Sample) -> float:
    return (sample.returned - sample.due) * 1000


def _percentile(values: Sequence[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
