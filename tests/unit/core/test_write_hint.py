"""A route may say that it nearly always writes: a hint, by which nothing is decided."""
from __future__ import annotations

from typing import Annotated

import pytest
from tests.unit.core.lane_node import FACTS, NOW_MS, LaneNode

from holdfast.core.outcome import Answer, Forward, Outcome
from holdfast.core.pipeline import execute
from holdfast.crypto import AesGcmBarrier, Secret
from holdfast.engine import (
    NOTHING_YET,
    ActiveMemory,
    Attempt,
    Context,
    Engine,
    Input,
    Method,
    Place,
    Request,
    Response,
    Rng,
    Route,
    Txn,
    doc,
    on,
)
from holdfast.replica import Derived, Reads, Run, Why


class AtPath(Input, frozen=True):
    path: Annotated[str, doc("Where.")]


ran: list[str] = []


def note(txn: Txn, args: AtPath, ctx: Context) -> Response:
    """Writes, unless the path says otherwise."""
    ran.append(args.path)
    if args.path != "nothing":
        txn.put(args.path, b"value")
    return Response()


ENGINE = Engine(type="noting", routes=(
    Route("hinted/*path", "With the hint.", {Method.POST: on(AtPath, note, writes=True)}),
    Route("plain/*path", "Without it.", {Method.POST: on(AtPath, note)}),
))


@pytest.fixture
def node() -> LaneNode:
    ran.clear()
    return LaneNode(ENGINE)


def at_worker(node: LaneNode, request: Request) -> Outcome:
    txn = Txn(Run(node.replica.open(), AesGcmBarrier(node.opened.keyring), Place.WORKER, Derived(100), Reads()))
    return execute(node.access, request, Attempt(txn=txn, now_ms=NOW_MS, rng=Rng(lambda: node.draw(32)), facts=FACTS, has_lease=True,
                                                 active=ActiveMemory(), memo=NOTHING_YET))


@pytest.mark.parametrize(("path", "runs"), [("noting/hinted/a", []), ("noting/plain/a", ["a"])])
def test_a_worker_hands_a_write_over_with_the_hint_unrun(node: LaneNode, path: str, runs: list[str]) -> None:
    outcome = at_worker(node, node.request(Method.POST, path))
    assert isinstance(outcome, Forward)
    assert (outcome.to, outcome.why) == (Place.ACTIVE, Why.WRITE)
    assert ran == runs


def test_a_worker_itself_refuses_whom_the_gate_refuses(node: LaneNode) -> None:
    request = node.request(Method.POST, "noting/hinted/a")
    outcome = at_worker(node, Request(id=request.id, method=request.method, path=request.path, client=request.client,
                                      token=Secret(b"hvs.nobody")))
    assert isinstance(outcome, Answer)
    assert outcome.reply.status == 403


@pytest.mark.parametrize("path", ["hinted", "plain"])
def test_the_lane_runs_both_alike_also_what_writes_nothing(node: LaneNode, path: str) -> None:
    index = node.index
    assert node.finish(node.request(Method.POST, f"noting/{path}/nothing")).status == 204
    assert node.index == index
    assert node.finish(node.request(Method.POST, f"noting/{path}/a")).status == 204
    assert node.index == index + 1
    assert ran == ["nothing", "a"]
