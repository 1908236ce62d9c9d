"""Heavy computing: aside, but not for ever."""
from __future__ import annotations

import asyncio
import os
import threading

import pytest

from holdfast.node import heavy


def test_it_is_computed_where_everybody_else_goes_before() -> None:
    assert asyncio.run(heavy.compute(lambda: os.sched_getscheduler(0))) == os.SCHED_IDLE
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


def test_it_raises_what_the_call_raises() -> None:
    def fails() -> object:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        asyncio.run(heavy.compute(fails))


def test_who_gets_no_turn_aside_is_computed_at_usual_rights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heavy, "PATIENCE_S", 0.01)
    ended = threading.Event()

    def call() -> object:
        policy = os.sched_getscheduler(0)
        if policy == os.SCHED_IDLE:
            assert ended.wait(10)
        return policy

    try:
        assert asyncio.run(heavy.compute(call)) == os.SCHED_OTHER
    finally:
        ended.set()
