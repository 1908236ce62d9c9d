"""One process's attempts at requests: opens the state, asks the lease before and the gate after. The same in a worker and in main."""
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from holdfast.core.access import Access
from holdfast.core.audit_device import Device
from holdfast.core.cors import CrossOriginRules, load_rules
from holdfast.core.outcome import Answer, Outcome
from holdfast.core.pipeline import execute
from holdfast.crypto import AesGcmBarrier, Barrier, Keyring, UnknownKeyTerm
from holdfast.engine import ActiveMemory, Attempt, Memo, NodeFacts, Place, Request, Rng, Txn
from holdfast.errors import InvariantError
from holdfast.ha.gate import CLUSTER_TIME_OFFSET_MS, WAIT, Verdict, Words, may_answer, may_read
from holdfast.limits import DERIVED_ENTRIES_MAX
from holdfast.node.clock import Clock
from holdfast.replica import Abandoned, Derived, Reader, Reads, Run

T = TypeVar("T")


class Replica(Protocol):
    def open(self) -> Reader: ...                    # ends with `close`


class Devices(Protocol):
    """The audit devices of this process."""

    def write(self, lines: Sequence[tuple[Device, bytes]]) -> None:
        """Each line to its device. Raises AuditError when none of them took its line."""


class NoKeys:
    """The barrier of a sealed node. A worker may be without keys while its `facts` say unsealed: they come and go one after the other.
    What it is asked then, main answers."""

    def encrypt(self, key: str, value: bytes, *, nonce: bytes) -> bytes:
        raise InvariantError("sealed")

    def decrypt(self, key: str, sealed: bytes) -> bytes:
        raise UnknownKeyTerm(f"{key}: sealed")


class Attempts:
    """`facts` and the keys are what main published last; each is replaced whole."""

    def __init__(self, access: Access, replica: Replica, words: Words, clock: Clock, place: Place, draw_seed: Callable[[], bytes],
                 derived_max: int = DERIVED_ENTRIES_MAX) -> None:
        self.access, self.replica, self.words, self.clock, self.place, self.draw_seed = access, replica, words, clock, place, draw_seed
        self.facts = NodeFacts()
        self.derived = Derived(derived_max)
        self.may_answer = True                       # False: no audit device of this process works
        self._barrier: Barrier = NoKeys()
        self._active = ActiveMemory()                # nobody gets at it: `need` stands before
        self._boot_ms, self._load = clock.boot_ms, words.load

    def use_keys(self, keyring: Keyring | None) -> None:
        """None: sealed. Then nothing that was decrypted is kept."""
        self._barrier = NoKeys() if keyring is None else AesGcmBarrier(keyring)
        if keyring is None:
            self.derived.drop()

    @property
    def has_keys(self) -> bool:
        """This process can read what is stored: its own knowledge, which may be older or newer than `facts`."""
        return not isinstance(self._barrier, NoKeys)

    def attempt(self, request: Request, memo: Memo, rng: Rng, *, confirmed: bool = False) -> tuple[Outcome, Verdict, str]:
        """One attempt on one state, and the path of the mount that it reached, if it did. The lease is asked before the state is opened,
        the gate before it is closed. `confirmed`: a round stands in for the lease."""
        words, boot_ms = self.words, self._boot_ms()
        has_lease = (confirmed or may_read(words, boot_ms)) and self.may_answer
        reader = self.replica.open()
        try:
            derived = self.derived
            if derived.index != reader.index:
                derived.catch_up(reader)
            txn = Txn(Run(reader, self._barrier, self.place, derived, Reads()))
            attempt = Attempt(txn=txn, now_ms=boot_ms + self._load(CLUSTER_TIME_OFFSET_MS), rng=rng,  # type: ignore[arg-type]
                              facts=self.facts, has_lease=has_lease, active=self._active, memo=memo)
            outcome = execute(self.access, request, attempt)
            verdict = may_answer(words, reader, outcome.index, outcome.reads) if type(outcome) is Answer else WAIT
            return outcome, verdict, attempt.mount
        finally:
            reader.close()

    def cross_origin(self) -> CrossOriginRules | None:
        """Whose web pages may ask. Sealed, or without the keys that its state is under: as if nobody had said."""
        if not self.has_keys:
            return None
        try:
            return self.read(load_rules)
        except Abandoned:
            return None

    def read(self, load: Callable[[Txn], T]) -> T:
        """What `load` finds in the newest state, with the same cache as requests have. Raises Abandoned: it is under a key that this
        process has not got yet."""
        reader = self.replica.open()
        try:
            self.derived.catch_up(reader)
            return load(Txn(Run(reader, self._barrier, self.place, self.derived, Reads())))
        finally:
            reader.close()
