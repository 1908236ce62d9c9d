"""What a worker hands to main, and when."""
import asyncio
from types import SimpleNamespace
from typing import cast

import msgspec
import pytest

from holdfast.core.policy_parse import parse
from holdfast.engine import NOTHING_YET, Client, Memo, Method, Place, Reply, Request
from holdfast.ids import RequestId
from holdfast.node.attempts import Attempts, Devices
from holdfast.node.measuring import RequestMetrics, new_metrics
from holdfast.node.message import Done, FromWorker, Submit
from holdfast.node.worker import BEGIN_AFTER, Worker
from holdfast.replica import Why


class Handing:
    """A worker, and what it hands on. `flushed`: how many messages were there each time that they had to go out at once."""

    def __init__(self) -> None:
        self.sent: list[FromWorker] = []
        self.flushed: list[int] = []
        attempts = cast(Attempts, SimpleNamespace(attempt=None, draw_seed=None))     # none is made
        self._worker = Worker(attempts, cast(Devices, None), RequestMetrics(new_metrics()), self.sent.append,
                              lambda: self.flushed.append(len(self.sent)))

    def submit(self, memo: Memo = NOTHING_YET) -> None:
        request = Request(id=RequestId("r"), method=Method.POST, path="a", client=Client(address="127.0.0.1"))
        self._worker._submit(request, Place.ACTIVE, Why.WRITE, memo)

    def answer(self, number: int) -> None:
        self._worker.received(Done(number=number, reply=Reply(status=204)))


async def handed_on(results: dict[bytes, object]) -> Memo:
    handing = Handing()
    handing.submit(Memo(results=results, spent=True))
    return msgspec.msgpack.decode(msgspec.msgpack.encode(handing.sent[0]), type=Submit).memo


async def flushed(counts: list[tuple[int, int]]) -> list[int]:
    """So many requests, then so many answers, in turn."""
    handing, answered = Handing(), 0
    for requests, answers in counts:
        for _ in range(requests):
            handing.submit()
        for _ in range(answers):
            answered += 1
            handing.answer(answered)
    return handing.flushed


@pytest.mark.parametrize(("counts", "expected"), [
    ([(BEGIN_AFTER - 1, 0)], []),
    ([(BEGIN_AFTER, 0)], [BEGIN_AFTER]),
    ([(5 * BEGIN_AFTER, 0)], [BEGIN_AFTER]),                                         # main has enough to do
    ([(2 * BEGIN_AFTER, BEGIN_AFTER), (BEGIN_AFTER, 0)], [BEGIN_AFTER]),
    ([(BEGIN_AFTER, BEGIN_AFTER), (2 * BEGIN_AFTER, 0)], [BEGIN_AFTER, 2 * BEGIN_AFTER]),
])
def test_a_main_that_has_nothing_to_do_may_begin_before_all_are_read(counts: list[tuple[int, int]], expected: list[int]) -> None:
    assert asyncio.run(flushed(counts)) == expected


def test_what_is_plain_goes_along_and_a_record_is_computed_anew() -> None:
    """A record came to main as a map: a policy parsed by a worker was a defect there, answered 500."""
    plain: dict[bytes, object] = {b"hash": b"\x00", b"text": "a", b"matches": True}
    memo = asyncio.run(handed_on(plain | {b"policy": parse('path "a" { capabilities = ["read"] }')}))
    assert memo.results == plain
    assert memo.spent
