"""Loaded by Python itself in every process of a node under test, workers too: this folder is on their path.

HOLDFAST_TEST_LIMITS: other bounds, as a JSON object; what takes gigabytes to reach is reached by this. HOLDFAST_TEST_ENGINES: engines to
register besides, as `module:NAME,…`. HOLDFAST_TEST_WORKER_VERSION: what workers take for their version. HOLDFAST_TEST_CLOCK_MS: how far the
node's clock is ahead of the machine's.
"""
import importlib
import json
import os
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


if (version_ := os.environ.get("HOLDFAST_TEST_WORKER_VERSION")) and "holdfast.node.worker_process" in sys.orig_argv:
    set_version(version_)
if limits_ := os.environ.get("HOLDFAST_TEST_LIMITS"):
    set_limits(limits_)
if engines_ := os.environ.get("HOLDFAST_TEST_ENGINES"):
    add_engines(engines_)
if clock_ms_ := os.environ.get("HOLDFAST_TEST_CLOCK_MS"):
    set_clock(int(clock_ms_))
