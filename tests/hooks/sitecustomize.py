"""Loaded by Python itself in every process of a node under test, workers too: this folder is on their path.

HOLDFAST_TEST_LIMITS: other bounds, as a JSON object; what takes gigabytes to reach is reached by this. HOLDFAST_TEST_ENGINES: engines to
register besides, as `module:NAME,…`. HOLDFAST_TEST_WORKER_VERSION: what workers take for their version. HOLDFAST_TEST_CLOCK_MS: how far
the node's clock is ahead of the machine's. HOLDFAST_TEST_DIES_AT: a file; whoever finds it right after an append is durable takes it away,
and is killed before anything of it is applied or answered. HOLDFAST_TEST_NO_RECORD: nobody looks for the record of a forwarded write.
HOLDFAST_TEST_APPLIES_NOT: a file; while it is there, a standby receives what is written and applies nothing. HOLDFAST_TEST_FRAMES: the
versions of frames that the node knows, as `1-2`; from 2 on what it says has a field more than this version knows.
"""
import asyncio
import contextlib
import functools
import importlib
import json
import os
import signal
import sys
from typing import Any


def set_limits(given: str) -> None:
    """Before anything else of the program is imported: modules take bounds by value."""
    limits = importlib.import_module("holdfast.limits")
    for name, value in json.loads(given).items():
        if not hasattr(limits, name):
            raise SystemExit(f"no bound {name}")
        setattr(limits, name, value)


def add_engines(given: str) -> None:
    registry: Any = importlib.import_module("holdfast.node.registry")
    for named in given.split(","):
        module, _, name = named.partition(":")
        registry.ENGINES = (*registry.ENGINES, getattr(importlib.import_module(module), name))


def set_version(given: str) -> None:
    version: Any = importlib.import_module("holdfast.version")
    version.VERSION = given


def set_clock(ahead_ms: int) -> None:
    clock: Any = importlib.import_module("holdfast.node.clock")
    wall_ms = clock.SystemClock.wall_ms
    clock.SystemClock.wall_ms = lambda self: wall_ms(self) + ahead_ms


def die_at(path: str) -> None:
    log: Any = importlib.import_module("holdfast.storage.raft").RaftLog
    append = log.append

    async def append_and_die(self: Any, group: Any, fence: Any) -> None:
        await append(self, group, fence)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
            os.kill(os.getpid(), signal.SIGKILL)

    log.append = append_and_die


def forget_records() -> None:
    once: Any = importlib.import_module("holdfast.core.once").Once
    find = once.find

    def find_nothing(self: Any, txn: Any, origin: Any) -> None:
        find(self, txn, origin)

    once.find = find_nothing


def apply_late(path: str) -> None:
    follow: Any = importlib.import_module("holdfast.node.follow")
    apply = follow.apply

    async def wait_and_apply(*given: Any) -> None:
        while os.path.exists(path):  # noqa: ASYNC110, ASYNC240 -- a test of another process says when
            await asyncio.sleep(0.005)
        await apply(*given)

    follow.apply = wait_and_apply


def set_frames(oldest: int, newest: int) -> None:
    cluster: Any = importlib.import_module("holdfast.node.cluster")
    cluster.Hello = functools.partial(cluster.Hello, frames_min=oldest, frames_max=newest)
    if newest > 1:
        for module, name in (("holdfast.cluster.link", "encode_hello"), ("holdfast.ha.message", "_encode")):
            add_field(importlib.import_module(module), name)


def add_field(module: Any, name: str) -> None:
    """To each map that this function of the module encodes."""
    msgpack: Any = importlib.import_module("msgspec.msgpack")
    encode = getattr(module, name)

    def encode_more(said: Any) -> bytes:
        more: bytes = msgpack.encode({**msgpack.decode(encode(said)), "of_another_version": ["more"]})
        return more

    setattr(module, name, encode_more)


if (version_ := os.environ.get("HOLDFAST_TEST_WORKER_VERSION")) and "holdfast.node.worker_process" in sys.orig_argv:
    set_version(version_)
if limits_ := os.environ.get("HOLDFAST_TEST_LIMITS"):
    set_limits(limits_)
if engines_ := os.environ.get("HOLDFAST_TEST_ENGINES"):
    add_engines(engines_)
if clock_ms_ := os.environ.get("HOLDFAST_TEST_CLOCK_MS"):
    set_clock(int(clock_ms_))
if dies_at_ := os.environ.get("HOLDFAST_TEST_DIES_AT"):
    die_at(dies_at_)
if frames_ := os.environ.get("HOLDFAST_TEST_FRAMES"):
    set_frames(*map(int, frames_.split("-")))
if late_ := os.environ.get("HOLDFAST_TEST_APPLIES_NOT"):
    apply_late(late_)
if os.environ.get("HOLDFAST_TEST_NO_RECORD"):
    forget_records()
