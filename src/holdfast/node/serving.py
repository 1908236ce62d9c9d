"""One process's way through a request: attempt after attempt, until it is answered here or has to leave. The same in a worker and in main.

What differs stands outside: `forward`, for what must run elsewhere, and `carry_out`, for what only main can do.
"""
import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import partial
from typing import TypeAlias, assert_never

from holdfast.core import envelope
from holdfast.core.outcome import Answer, Commit, Do, Forward, Heavy, Outcome, Outside
from holdfast.engine import NOTHING_YET, Memo, Place, Reply, Request, Rng, Stream
from holdfast.errors import AuditError
from holdfast.ha.gate import GO, WATERMARK, Verdict
from holdfast.http import Admission, Held
from holdfast.ids import Index
from holdfast.limits import WATERMARK_WAIT_MS
from holdfast.node import heavy
from holdfast.node.attempts import Attempts, Devices
from holdfast.node.audit_batch import AuditBatch
from holdfast.node.measuring import Observe, RequestMetrics
from holdfast.replica import Why

WATERMARK_POLL_S = 0.0005                            # V is a word in shared memory: nothing wakes who waits for it
Served: TypeAlias = Reply | Stream
ForwardTo: TypeAlias = Callable[[Request, Place, Why, Memo], Awaitable[Served]]
CarryOut: TypeAlias = Callable[[Request, Commit | Outside | Do], Awaitable[Served]]


class Serving:
    """Never raises for a request's fault."""

    def __init__(self, attempts: Attempts, devices: Devices, metrics: RequestMetrics, forward: ForwardTo, carry_out: CarryOut) -> None:
        self._attempts, self._devices, self._forward, self._carry_out = attempts, devices, forward, carry_out
        self._attempt, self._draw_seed = attempts.attempt, attempts.draw_seed
        self._metrics, self._now_ns, self._routes = metrics, metrics.now_ns, metrics.routes
        self._batch = AuditBatch(devices)

    def serve(self, request: Request) -> Reply | Awaitable[Served]:
        """From bytes parsed to bytes to send. A read is answered at once, without a task."""
        began_ns = self._now_ns()
        rng = Rng(self._draw_seed)
        outcome, verdict, mount = self._attempt(request, NOTHING_YET, rng)
        observe = self._routes.get((request.method, mount)) or self._metrics.route(request.method, mount)
        if type(outcome) is Answer and verdict is GO:
            reply = self._held(outcome) if outcome.audit else outcome.reply
            observe(self._now_ns() - began_ns)
            return reply
        if type(outcome) is Forward:
            going = self._forward(request, outcome.to, outcome.why, NOTHING_YET)
            if not isinstance(going, asyncio.Future):
                return self._timed(began_ns, observe, going)
            self._metrics.in_flight += 1             # the same without a coroutine: of a worker's writes this is felt
            going.add_done_callback(partial(self._came, began_ns, observe))
            return going
        return self._timed(began_ns, observe, self._go_on(request, outcome, verdict, NOTHING_YET, rng, self._forward))

    def admission(self, request: Request) -> Admission:
        """What becomes of a request whose body is still to come. Tried on the state that is here, with or without a lease: the active node
        tries it again once it is whole."""
        outcome, *_ = self._attempts.attempt(request, NOTHING_YET, Rng(self._draw_seed), confirmed=True)
        if not self._attempts.facts.is_active or type(outcome) is Answer:
            return Admission.ANSWERED
        return Admission.ALLOWED if type(outcome) is Forward and outcome.why is Why.EFFECT else Admission.OPEN

    def _held(self, answer: Answer) -> Held:
        """The answer, which leaves when the devices have both its entries, together with those of this turn's other requests."""
        reply = answer.reply
        return Held(status=reply.status, body=reply.body, content_type=reply.content_type, headers=reply.headers,
                    settle=self._batch.add_both(answer.audit))

    def _came(self, began_ns: int, observe: Observe, answer: "asyncio.Future[Served]") -> None:
        self._metrics.in_flight -= 1
        observe(self._now_ns() - began_ns)

    async def _timed(self, began_ns: int, observe: Observe, going_on: Awaitable[Served]) -> Served:
        self._metrics.in_flight += 1
        try:
            return await going_on
        finally:
            self._metrics.in_flight -= 1
            observe(self._now_ns() - began_ns)

    async def resume(self, request: Request, memo: Memo, forward: ForwardTo | None = None, *, confirmed: bool = False) -> Served:
        """A request that another process or node began; `forward`: where it goes from here, if not where all others do. `confirmed`: a
        round has shown that it may be read here now, without a lease."""
        rng = Rng(self._attempts.draw_seed)
        outcome, verdict, _ = self._attempts.attempt(request, memo, rng, confirmed=confirmed)
        return await self._go_on(request, outcome, verdict, memo, rng, forward or self._forward)

    async def _go_on(self, request: Request, outcome: Outcome, verdict: Verdict, memo: Memo, rng: Rng, forward: ForwardTo) -> Served:
        while True:
            match outcome:
                case Answer(index=index):
                    if verdict is GO or self._is_local(request) or await self._passed(index):
                        return self._audited(outcome)
                    return await forward(request, Place.ACTIVE, Why.NO_LEASE, memo)
                case Heavy(key=key, compute=compute):
                    memo = memo.having(key, await heavy.compute(compute))
                    rng.rewind()
                case Forward(to=to, why=why):
                    return await forward(request, to, why, memo)
                case Commit() | Outside() | Do():
                    return await self._carry_out(request, outcome)
                case other:
                    assert_never(other)
            outcome, verdict, _ = self._attempts.attempt(request, memo, rng)

    def _is_local(self, request: Request) -> bool:
        """About this node, so that no other one can answer it: its token is judged by the state that is here, whatever V is. A plain
        standby has no V that moves."""
        return self._attempts.access.router.find_local(request.method, request.path) is not None

    def _audited(self, answer: Answer) -> Reply:
        """The answer, once the devices have both its entries."""
        if not answer.audit:
            return answer.reply
        try:
            self._devices.write([(entry.device, entry.request + entry.response) for entry in answer.audit])
        except AuditError as error:
            return envelope.failed(error)
        return answer.reply

    async def _passed(self, index: Index) -> bool:
        """Waits for V, a shared word; the answer stays as it is, so that no newer state has to be waited for."""
        attempts = self._attempts
        deadline = attempts.clock.boot_ms() + WATERMARK_WAIT_MS
        while attempts.words.load(WATERMARK) < index:
            if attempts.clock.boot_ms() >= deadline:
                return False
            await asyncio.sleep(WATERMARK_POLL_S)
        return True


async def close_stream(stream: Stream) -> None:
    """Nobody waits for it."""
    if isinstance(stream.chunks, AsyncGenerator):
        await stream.chunks.aclose()
