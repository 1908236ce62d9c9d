"""The commit pipeline of the active node: run → audit the request → append → apply → V → effects → audit the response → reply.

One append is under way at a time; whatever the lane ran meanwhile, and runs in the turns of the loop right after it, goes out as the next
one (group commit). The lane runs on the event loop's thread, between its other work; appending, and applying what is large, release the
interpreter, in a thread.

Invariants: (1) a request's audit entry is written before its batch is handed to the log; (2) a reply leaves only when its index is at
most V; (3) an append whose outcome is unknown stops the lane until its fate is known; (4) nothing runs while this node does not hold the
fence for certain; (5) what can no longer end here is given back (`Orphaned`), never failed.
"""
import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Protocol, TypeAlias, assert_never

from msgspec.structs import replace

from holdfast.core import envelope
from holdfast.core.audit_device import Device
from holdfast.core.cluster_time import ClusterTime
from holdfast.core.lane import Carried, Lane, Ready, Task, Work
from holdfast.core.outcome import Answer, AuditEntry, Commit, Do, Heavy, Outside
from holdfast.crypto import Opened
from holdfast.engine import NOTHING_YET, Effect, Memo, NodeFacts, Origin, Reply, Rng
from holdfast.engine.context import Failed
from holdfast.errors import AuditError, HandlerError, HoldfastError, InvariantError, UnavailableError
from holdfast.ha.gate import CLUSTER_TIME_OFFSET_MS, WATERMARK, Words, may_read
from holdfast.ids import Index, Millis
from holdfast.node import attempts, heavy
from holdfast.node.applying import apply
from holdfast.node.attempts import Devices
from holdfast.node.audit_batch import AuditBatch, Settle
from holdfast.node.clock import Clock
from holdfast.node.outside import OutsideCalls
from holdfast.node.serving import Served
from holdfast.replica import Reader, Reads
from holdfast.replica.lmdb_file import State
from holdfast.storage import Fence, FenceLost, Log, Uncertain, Unsettled, WriteBatch


class Replica(attempts.Replica, Protocol):
    @property
    def state(self) -> State:
        """The newest state's index and cluster time."""

    def apply(self, batches: Sequence[WriteBatch]) -> None: ...


class Promise(Protocol):
    """Whoever waits for an answer: a future, or what is told at once, not in the loop's next turn."""

    def done(self) -> bool: ...
    def set_result(self, served: Served, /) -> None: ...
    def set_exception(self, error: BaseException, /) -> None: ...


GATHER_MAX = 32                                      # batches for which an append waits: then they cost more than it does by itself
Pool: TypeAlias = Callable[[Callable[[], object]], Awaitable[object]]
"""Threads for what would hold up the event loop."""
Orphaned: TypeAlias = Callable[[Work, Promise, Exception], None]
"""Takes work that did not happen here, and will not, with whoever waits for its answer."""


def requests_of(audit: Sequence[AuditEntry]) -> list[tuple[Device, bytes]]:
    return [(entry.device, entry.request) for entry in audit]


def responses_of(audit: Sequence[AuditEntry]) -> list[tuple[Device, bytes]]:
    return [(entry.device, entry.response) for entry in audit]


def both_of(audit: Sequence[AuditEntry]) -> list[tuple[Device, bytes]]:
    return [(entry.device, entry.request + entry.response) for entry in audit]


def _refuse(answer: Promise, error: Exception) -> None:
    if not answer.done():                                # else nobody waits for it any more
        answer.set_exception(error)


class Committer:
    """Runs work on the lane and carries out what comes of it. Lives on one event loop."""

    def __init__(self, lane: Lane, log: Log, fence: Fence, replica: Replica, words: Words, clock: Clock, time: ClusterTime,
                 devices: Devices, facts: Callable[[], NodeFacts], pool: Pool, perform: Callable[[Effect], Awaitable[Served]],
                 keys_changed: Callable[[Opened], None], draw_seed: Callable[[], bytes], applied: Callable[[Index], None],
                 orphaned: Orphaned, *, confirmed: bool = False) -> None:
        """`applied` is told what is durable and in the replica; whoever knows the leaseholders answers with `pass_to`. `confirmed`: what is
        submitted was confirmed by a round, so no hold is asked for."""
        self._lane, self._log, self.fence, self._replica, self._words = lane, log, fence, replica, words
        self._clock, self._time, self._devices, self._facts, self._pool = clock, time, devices, facts, pool
        self._perform, self._keys_changed, self._draw_seed = perform, keys_changed, draw_seed
        self._applied, self._orphaned, self._confirmed = applied, orphaned, confirmed
        self._batch, self._loop = AuditBatch(devices), asyncio.get_running_loop()
        self._opened = lane.opened
        self._reader: Reader | None = None           # of this turn of the loop
        self._answers: dict[int, Promise] = {}            # by id of the work, which the lane holds on to
        self._tasks: set[asyncio.Task[None]] = set()
        self._appending: asyncio.Task[None] | None = None
        self._watermark = Index(words.load(WATERMARK))
        self._durable = self._watermark              # the last index that is durable and applied
        self._held: list[tuple[Work, Promise]] = []           # while a fate is unknown, or the hold is not certain
        self._settling = self._resting = False
        self._successor: Committer | None = None     # another state was put back, and another lane goes on from it
        self._stopped = False
        self._idle: asyncio.Future[None] | None = None       # somebody waits for it
        self._outside = OutsideCalls()

    @property
    def is_idle(self) -> bool:
        """Everything that has run is durable and answered, but for calls to the outside."""
        return self._lane.is_idle() and self._appending is None and (self._resting or not self._held)

    def submit(self, task: Task, memo: Memo = NOTHING_YET, origin: Origin | None = None) -> "asyncio.Future[Served]":
        """Runs a request, or work of the node's own, to its end, whether anybody waits for it or not."""
        answer: asyncio.Future[Served] = self._loop.create_future()
        self.run(task, answer, memo, origin)
        return answer

    def run(self, task: Task, answer: Promise, memo: Memo = NOTHING_YET, origin: Origin | None = None) -> None:
        """As `submit`, for somebody who waits already."""
        self._run(Work(task=task, rng=Rng(self._draw_seed), memo=memo, origin=origin), answer)

    def hold_is_certain(self) -> None:
        """Again: what waited for it runs now."""
        if not self._settling:
            self._run_held()

    async def rest(self) -> None:
        """Runs nothing until `wake`; returns when all that was taken before is durable and answered, but for calls outside."""
        self._resting = True
        await self._until_idle()

    def wake(self) -> None:
        """What came meanwhile runs now."""
        self._resting = False
        self._run_held()

    def take_place_of(self, other: "Committer") -> None:
        """What the other one, which rests, has not begun runs here; also what it still comes to hear of."""
        held, other._held, other._successor = other._held, [], self
        for work, answer in held:
            self._run(work, answer)

    def pass_to(self, watermark: Index) -> None:
        """V has risen."""
        self._watermark = watermark
        self._release()

    def close(self) -> None:
        """Takes no more: what comes from now on is given back."""
        self._stopped = True
        if not self._settling:
            self._run_held()

    async def drain(self) -> None:
        """Takes no more: what comes is given back. Returns when all that was taken is durable and answered, but for calls outside."""
        self.close()
        await self._until_idle()

    async def _until_idle(self) -> None:
        """Several may wait: a node steps down while its lane comes to rest for a state that is put back."""
        while not self.is_idle:
            if self._idle is None or self._idle.done():
                self._idle = self._loop.create_future()
            await asyncio.wait({self._idle})

    async def stop(self) -> None:
        """Takes no more, and waits until what was taken is durable and answered, or has been given back."""
        self.close()
        this = asyncio.current_task()                    # a seal may have come this way itself
        while pending := {*self._tasks, *((self._appending,) if self._appending else ())} - {this}:
            await asyncio.wait(pending)

    async def end(self) -> None:
        """The fence has gone: takes no more, learns the fate of what was under way, and gives the rest back. What is durable is still
        answered, when V passes it."""
        self.close()
        if self._appending is not None:
            await asyncio.wait({self._appending})
        self._abandon(FenceLost("another node is active"))

    def refuse_rest(self, error: Exception) -> None:
        """Nobody tells V here any more: whoever still waits for it learns no more than that."""
        answers, self._answers = self._answers, {}
        for answer in answers.values():
            _refuse(answer, error)

    def _run(self, work: Work, answer: Promise) -> None:
        if self._successor is not None:
            self._successor._run(work, answer)
            return
        if self._stopped:
            self._orphaned(work, answer, FenceLost("this node is not active any more"))
            return
        boot_ms = self._clock.boot_ms()
        if self._settling or self._resting or not (self._confirmed or may_read(self._words, boot_ms)):
            self._held.append((work, answer))
            return
        try:
            reader = self._newest()
            outcome = self._lane.run(work, reader, self._facts(), now_ms=Millis(boot_ms + self._time.offset_ms))
            if isinstance(outcome, Heavy):
                self._spawn(self._compute(work, outcome, answer))
                return
            if outcome.audit and not isinstance(outcome, Answer) and not work.memo.audited:
                outcome = self._audited(outcome)
            index = self._lane.accept(work, outcome)
        except Exception as error:  # noqa: BLE001 — whoever waits for the answer tells the loop, which stops on a defect
            _refuse(answer, error)
            return
        self._answers[id(work)] = answer
        if self._appending is None and self._lane.to_append:
            self._appending = self._loop.create_task(self._append_all())
            self._appending.add_done_callback(self._ended)
        if index <= self._watermark:
            self._release()

    def _newest(self) -> Reader:
        """The replica's newest state, opened once for all that runs in one turn of the loop, as cluster time looks at the wall clock."""
        if self._reader is None:
            self._time.now(wall_ms=self._clock.wall_ms(), boot_ms=self._clock.boot_ms())
            self._words.store(CLUSTER_TIME_OFFSET_MS, self._time.offset_ms)
            self._reader = self._replica.open()
            self._loop.call_soon(self._let_go)
        return self._reader

    def _let_go(self) -> None:
        """At the end of the turn, or when there is a newer state: the overlay shows no more than that one lacks."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def _audited(self, outcome: Commit | Outside | Do) -> Carried:
        """The outcome, once the devices have its request; else the refusal in its place, and nothing has happened."""
        try:
            self._devices.write(requests_of(outcome.audit))
        except AuditError as error:
            return Answer(reply=envelope.failed(error), index=Index(0), reads=Reads())
        return outcome

    async def _alone(self, task: Task) -> None:
        with contextlib.suppress(UnavailableError):      # it is still due after the next write
            await self.submit(task)

    async def _compute(self, work: Work, wanted: Heavy, answer: Promise) -> None:
        try:
            result = await heavy.compute(wanted.compute)
        except Exception as error:  # noqa: BLE001 — an engine's own function; whoever waits for the answer must not wait for ever
            self._answer(answer, envelope.failed(HandlerError(f"{type(error).__name__} in a heavy computation")), [])
            return
        self._run(replace(work, memo=work.memo.having(wanted.key, result)), answer)

    async def _append_all(self) -> None:
        try:
            while group := await self._gather():
                await self._append(group)
        except Exception as error:
            raise InvariantError(f"an append ended in {type(error).__name__}: log, replica and lane may not agree any more") from error
        finally:
            self._appending = None
            self._tell_idle()

    async def _gather(self) -> tuple[WriteBatch, ...]:
        """The next group, once a turn of the loop has brought nothing more to it; empty: there is none. An append by itself costs as much
        as twenty writes, here and at each standby."""
        before = 0
        while before < (now := self._lane.to_append) < GATHER_MAX:
            before = now
            await asyncio.sleep(0)
        return self._lane.take_group()

    async def _append(self, group: tuple[WriteBatch, ...]) -> None:
        last = group[-1].index
        if (rotation := self._lane.rotation()) is not None:  # runs meanwhile: what comes after this group is under the new term
            self._spawn(self._alone(rotation))
        try:
            await self._log.append(group, self.fence)
        except (Uncertain, FenceLost) as error:
            if not await self._settle(last, error):
                return
        await apply(group, self._replica, self._pool)
        self._let_go()
        self._lane.applied(last)
        self._durable = last
        if self._lane.opened is not self._opened:
            self._opened = self._lane.opened
            self._keys_changed(self._opened)             # before V says that what is under the new term may be read
        self._applied(last)

    async def _settle(self, last: Index, error: Exception) -> bool:
        """The fate of an append that did not end well. Not appended: nothing of what the lane ran since has happened, so it is given back;
        what came meanwhile runs now, and goes out with the next append."""
        self._settling = True
        try:
            durable = isinstance(error, Uncertain) and await self._log.fate(last)
        except Unsettled as unknown:
            durable = False
            self._forget(last, unknown)
        self._settling = False
        if not durable:
            self._abandon(error)
        self._run_held()
        return durable

    def _forget(self, last: Index, unknown: Unsettled) -> None:
        """What was in the append may have happened. What was run after it has not. A request with an id of its own is asked for again
        under it, and runs once; of others nobody can say more than that."""
        for work in self._lane.abandon(last):
            self._orphaned(work, self._answers.pop(id(work)), unknown)
        for work in self._lane.abandon(self._durable):
            answer = self._answers.pop(id(work))
            if work.origin is not None:
                self._orphaned(work, answer, unknown)
            else:
                _refuse(answer, UnavailableError("the outcome of the request is not known: this node lost its part in the cluster"))

    def _abandon(self, error: Exception) -> None:
        for work in self._lane.abandon(self._durable):
            self._orphaned(work, self._answers.pop(id(work)), error)

    def _run_held(self) -> None:
        held, self._held = self._held, []
        for work, answer in held:
            self._run(work, answer)

    def _release(self) -> None:
        ended: list[tuple[Promise, Reply, Settle]] = []
        for ready in self._lane.release(self._watermark):
            answer = self._answers.pop(id(ready.work))
            match ready.outcome:
                case Answer(reply=reply, audit=()) | Commit(reply=reply, effects=(), audit=()):
                    self._resolve(answer, reply)
                case Answer(reply=reply, audit=audit):
                    lines = responses_of(audit) if ready.work.memo.audited else both_of(audit)
                    ended.append((answer, reply, self._batch.add(lines)))
                case Commit(reply=reply, effects=(), audit=audit):
                    ended.append((answer, reply, self._batch.add(responses_of(audit))))
                case Commit(reply=reply, effects=effects, audit=audit):
                    self._spawn(self._carry_out(ready.work, effects, reply, audit, answer))
                case Do(effect=effect, audit=audit):
                    self._spawn(self._carry_out(ready.work, (effect,), None, audit, answer))
                case Outside() as outside:
                    self._spawn(self._call(ready, outside, answer))
                case other:
                    assert_never(other)
        for answer, reply, settle in ended:
            self._resolve(answer, settle(reply))         # a refusal is given of what is committed all the same, as in Vault
        self._tell_idle()

    def _tell_idle(self) -> None:
        if self._idle is not None and not self._idle.done() and self.is_idle:
            self._idle.set_result(None)

    def _answer(self, answer: Promise, reply: Served, lines: list[tuple[Device, bytes]]) -> None:
        if lines:
            try:
                self._devices.write(lines)
            except AuditError as error:
                reply = envelope.failed(error)           # as in `_release`
        self._resolve(answer, reply)

    def _resolve(self, answer: Promise, reply: Served) -> None:
        if not answer.done():
            answer.set_result(reply)

    async def _carry_out(self, work: Work, effects: Sequence[Effect], reply: Reply | None, audit: Sequence[AuditEntry],
                         answer: Promise) -> None:
        """`reply`: None: what the last effect gives."""
        served: Served
        try:
            for effect in effects:
                served = await self._perform(effect)
            served = served if reply is None else reply
        except FenceLost as error:                       # the active node can do it
            self._orphaned(work, answer, error)
            return
        except HoldfastError as error:                   # what was committed stays so
            served = envelope.failed(error)
        except Exception as error:                       # whoever waits for the answer must not wait for ever
            self._answer(answer, envelope.failed(HandlerError(f"{type(error).__name__} in an effect")), responses_of(audit))
            raise
        self._answer(answer, served, responses_of(audit))

    async def _call(self, ready: Ready, outside: Outside, answer: Promise) -> None:
        """The call that others see; then the handler starts again and finds what came of it."""
        result: object
        try:
            async with asyncio.timeout(outside.within_ms / 1000):
                result = await self._outside.call(outside.call, outside.share)
        except TimeoutError:
            result = Failed(f"no answer within {outside.within_ms} ms")
        except Exception as error:  # noqa: BLE001 — whatever the outside raises is a result of the call
            result = Failed(str(error) or type(error).__name__)
        memo = replace(ready.work.memo.having(outside.key, result), spent=True, undo_key=outside.undo_key, audited=True)
        self._run(replace(ready.work, memo=memo), answer)

    def _spawn(self, coroutine: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            task.get_loop().call_exception_handler({"message": "work of the lane failed", "exception": error})
