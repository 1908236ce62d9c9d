"""The lane: requests one at a time on the active node, group commit, answers held until the watermark passes them.

Without I/O: the main process calls it from one thread, appends what `take_group` gives, and reports back.

Invariants: (1) execution order is the serial order; (2) numbers have no gaps, time never goes back; (3) nothing leaves before everything
that it read or wrote is durable and at every leaseholder.
"""
from collections import deque
from collections.abc import Callable
from typing import TypeAlias, assert_never

import msgspec
from msgspec.structs import replace

from holdfast.core import jobs, keys, state_token
from holdfast.core.access import Access
from holdfast.core.once import Found, Once, is_repeated
from holdfast.core.outcome import NO_REPLY, Answer, Commit, Do, Forward, Heavy, Outcome, Outside
from holdfast.core.pipeline import execute
from holdfast.crypto import (
    KEYRING,
    KEYRING_USAGE,
    ROOT_KEY,
    AesGcmBarrier,
    Barrier,
    KeyMeter,
    KeyUsage,
    Opened,
    follow,
)
from holdfast.engine import NOTHING_YET, ActiveMemory, Attempt, Memo, NodeFacts, Origin, Place, Request, Rng, Txn
from holdfast.errors import InvariantError
from holdfast.ids import Index, Millis
from holdfast.limits import GROUP_MAX_BYTES
from holdfast.replica import Derived, Overlay, Reader, Reads, Run
from holdfast.storage import Changes, WriteBatch


class Due(msgspec.Struct, frozen=True):
    """Work that no client asked for: the entry of the due queue under this key."""

    key: str


class Internal(msgspec.Struct, frozen=True, eq=False):
    """A change of the node's own (a key rotation): written into the Txn, or nothing where it is no longer needed."""

    run: Callable[[Txn, Attempt], None]


Task: TypeAlias = Request | Due | Internal


class Work(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What is to be run, with what earlier attempts computed. `origin`: forwarded, to run exactly once (`core.once`)."""

    task: Task
    rng: Rng
    memo: Memo = NOTHING_YET
    origin: Origin | None = None


Carried: TypeAlias = Answer | Commit | Outside | Do


class Ready(msgspec.Struct, frozen=True, eq=False):
    """May be carried out now: send the reply (effects first, but for a step-down), make the call, perform the effect."""

    work: Work
    outcome: Carried


class Lane:
    """`derived` is the lane's own: it also knows values that are still on their way. `usage` is what the store says of the active key."""

    def __init__(self, engines: Access, opened: Opened, usage: KeyUsage | None, *, derived: Derived, nonce: Callable[[], bytes],
                 time_ms: Millis) -> None:
        self._engines, self._derived, self._nonce, self._time_ms = engines, derived, nonce, time_ms
        self._opened = self._durable = opened
        self._barrier: Barrier = AesGcmBarrier(opened.keyring)
        self._meter = KeyMeter(opened.keyring, usage)
        self._overlay = Overlay()
        self._active = ActiveMemory()
        self._once = Once()
        self._group: deque[tuple[int, WriteBatch]] = deque()
        self._waiting: deque[tuple[Index, Ready]] = deque()
        self._txn: Txn
        self._found: Found | None = None                 # the work was done before
        self._signer: state_token.Signer

    @property
    def opened(self) -> Opened:
        """The keys that the last durable batch was encrypted under."""
        return self._durable

    def rotation(self) -> Internal | None:
        """A new key term, when the active one has encrypted enough or is old enough; None: not due."""
        return Internal(self._rotate) if self._meter.is_due(self._time_ms) else None

    def run(self, work: Work, reader: Reader, facts: NodeFacts, *, now_ms: Millis) -> Heavy | Carried:
        """Executes one piece of work. Heavy: compute it and run again. Else its outcome, which `accept` must be given next."""
        self._time_ms = max(self._time_ms, now_ms)
        state = self._overlay.over(reader)
        self._derived.catch_up(state)
        work.rng.rewind()
        self._txn = txn = Txn(Run(state, self._barrier, Place.ACTIVE, self._derived, Reads()))
        self._signer = txn.derive(state_token.load_signer)   # before anything is written, or it could not be kept
        self._found = self._once.find(txn, work.origin) if work.origin is not None else None
        if self._found is not None:
            return Commit(reply=self._found.reply, changes={}, effects=self._found.effects)
        outcome = self._execute(work, Attempt(txn=txn, now_ms=self._time_ms, rng=work.rng, facts=facts, has_lease=True,
                                              active=self._active, memo=work.memo))
        if isinstance(outcome, Forward):
            raise InvariantError(f"nothing is above the lane: {outcome.why}")
        return outcome

    def accept(self, work: Work, outcome: Carried) -> Index:
        """Numbers the outcome of the last run, whose entry the audit devices have now; or takes the refusal that stands in for it.
        It comes out of `release` once the watermark is at the index that this gives. Before the next run, and before the reader of the
        last one is closed."""
        txn = self._txn
        changes = {} if isinstance(outcome, Answer) else outcome.changes
        if isinstance(outcome, Commit) and isinstance(work.task, Request):
            if changes:
                header = ("X-Vault-Index", self._signer.show(Index(txn.run.reader.index + 1)))
                outcome = replace(outcome, reply=replace(outcome.reply, headers=(*outcome.reply.headers, header)))
            if work.origin is not None and self._found is None and (changes or outcome.effects):
                changes = changes | self._once.record(work.origin, outcome.reply, self._nonce, outcome.effects)
        elif isinstance(outcome, Do) and changes and work.origin is not None and is_repeated(outcome.effect):
            changes = changes | self._once.record(work.origin, NO_REPLY, self._nonce, (outcome.effect,))
        index = self._number(changes) if changes else txn.run.reader.index
        self._waiting.append((index, Ready(work, outcome)))
        return index

    @property
    def to_append(self) -> int:
        """How many batches wait for the next append."""
        return len(self._group)

    def take_group(self) -> tuple[WriteBatch, ...]:
        """The next append: what waits for it, of at most GROUP_MAX_BYTES or one batch."""
        group: list[WriteBatch] = []
        size = 0
        while self._group and (not group or size + self._group[0][0] <= GROUP_MAX_BYTES):
            bytes_, batch = self._group.popleft()
            size += bytes_
            group.append(batch)
        return tuple(group)

    def applied(self, through: Index) -> None:
        """The replica has these: the overlay lets them go."""
        self._overlay.applied(through)
        if self._overlay.is_empty:
            self._durable = self._opened                 # nothing is on its way, so what was followed is durable

    def release(self, watermark: Index) -> tuple[Ready, ...]:
        """What may be carried out now, in order."""
        ready: list[Ready] = []
        while self._waiting and self._waiting[0][0] <= watermark:
            ready.append(self._waiting.popleft()[1])
        return tuple(ready)

    def abandon(self, durable: Index) -> tuple[Work, ...]:
        """The fate is known: nothing after `durable` was appended. Drops overlay and caches; gives back the work whose outcomes are lost,
        the very objects. What depends on nothing later still comes out of `release`."""
        lost = tuple(ready.work for index, ready in self._waiting if index > durable)
        self._waiting = deque(entry for entry in self._waiting if entry[0] <= durable)
        self._overlay.drop()
        self._derived.drop()
        self._meter.abandon()
        self._once.abandon()
        if self._opened is not self._durable:
            self._opened = self._durable
            self._barrier = AesGcmBarrier(self._opened.keyring)
            self._meter.follow(self._opened.keyring)
        self._group.clear()
        return lost

    def is_idle(self) -> bool:
        """Nothing waits for an append or for the watermark."""
        return not self._waiting and not self._group

    def _execute(self, work: Work, attempt: Attempt) -> Outcome:
        match work.task:
            case Request() as request:
                return execute(self._engines, request, attempt)
            case Due(key=key):
                return jobs.execute(self._engines, key, attempt)
            case Internal(run=run):
                run(attempt.txn, attempt)
                return Commit(reply=NO_REPLY, changes=attempt.txn.changes(), effects=())
            case other:
                assert_never(other)

    def _rotate(self, txn: Txn, attempt: Attempt) -> None:
        if self._meter.is_due(attempt.now_ms):           # else another one came first
            keys.begin_term(txn, attempt.rng, attempt.now_ms)

    def _number(self, changes: Changes) -> Index:
        usage = self._meter.charge(len(changes) - list(changes.values()).count(None))
        if usage is not None:
            changes = {**changes, KEYRING_USAGE: msgspec.json.encode(usage)}
        sealed: Changes = {}
        size, encrypt, nonce = 0, self._barrier.encrypt, self._nonce
        for key, value in changes.items():
            if value is None:
                sealed[key] = None
            else:
                sealed[key] = text = encrypt(key, value, nonce=nonce())
                size += len(text)
        batch = WriteBatch(index=Index(self._txn.run.reader.index + 1), time_ms=self._time_ms, changes=sealed)
        self._overlay.push(batch)
        self._group.append((size, batch))
        if (keyring := changes.get(KEYRING)) is not None:
            self._follow(keyring, changes.get(ROOT_KEY))
        return batch.index

    def _follow(self, sealed_keyring: bytes, root_key: bytes | None) -> None:
        """From the next batch on, everything is encrypted under the new term."""
        self._opened = follow(self._opened, sealed_keyring=sealed_keyring, root_key=root_key)
        self._barrier = AesGcmBarrier(self._opened.keyring)
        self._meter.follow(self._opened.keyring)
