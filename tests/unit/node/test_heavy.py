"""Heavy computing: aside, but not for ever."""
from __future__ import annotations

import asyncio
import os
import pickle
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from holdfast.auth import password
from holdfast.errors import BadRequest
from holdfast.node import heavy


@pytest.fixture(autouse=True)
def own_processes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test begins ends with it; and nobody is impatient on a busy machine."""
    with ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr(heavy, "_aside", lambda: pool)
        monkeypatch.setattr(heavy, "PATIENCE_S", 60)
        yield
        pool.submit(end_process)


def end_process() -> None:
    """In a thread that has one."""
    if (helper := getattr(heavy._mine, "helper", None)) is not None:
        helper.close()


def computed(call: Callable[[], object]) -> object:
    return asyncio.run(heavy.compute(call))


def waits_aside(long_s: float) -> int:
    policy = os.sched_getscheduler(0)
    if policy == os.SCHED_IDLE:
        time.sleep(long_s)                               # as one that nobody leaves a core to
    return policy


def refuses(text: str) -> None:
    raise BadRequest(text, warnings=("w",))


def ends_aside(parent: int) -> int:
    if os.getpid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


def test_it_is_computed_where_everybody_else_goes_before_and_shares_no_interpreter() -> None:
    assert computed(partial(os.sched_getscheduler, 0)) == os.SCHED_IDLE
    assert computed(os.getpid) != os.getpid()
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


def test_one_process_computes_call_after_call() -> None:
    assert computed(os.getpid) == computed(os.getpid)


def test_what_engines_ask_for_can_be_computed_aside() -> None:
    kept = computed(partial(password.hashed, "a password", bytes(16)))
    assert isinstance(kept, bytes)
    assert computed(partial(password.matches, "a password", kept)) is True
    assert computed(partial(password.matches, "another", kept)) is False


def test_it_raises_what_the_call_raises() -> None:
    with pytest.raises(BadRequest, match="no") as caught:
        computed(partial(refuses, "no"))
    assert (caught.value.messages, caught.value.warnings) == (("no",), ("w",))


def test_what_cannot_be_sent_is_computed_here() -> None:
    def call() -> int:
        return os.getpid()

    with pytest.raises((AttributeError, pickle.PicklingError)):
        pickle.dumps(call)
    assert computed(call) == os.getpid()


def test_who_gets_no_turn_aside_is_computed_at_usual_rights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heavy, "PATIENCE_S", 0.01)
    assert computed(partial(waits_aside, 1)) == os.SCHED_OTHER


def test_a_process_that_is_killed_costs_nothing_but_time() -> None:
    first = computed(os.getpid)
    assert computed(partial(ends_aside, os.getpid())) == os.getpid()
    assert computed(os.getpid) not in (first, os.getpid())
