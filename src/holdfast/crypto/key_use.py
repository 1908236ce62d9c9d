"""Counts the values encrypted under the active term, so that a crash can make the count too high but never too low.

A random 96-bit nonce may repeat once a key has encrypted too many values, so the count must not be lost. Writing it with every value
would cost a write each; instead a number *ahead* of the count is written now and then: "no more than `reserved` so far". Whoever takes
over starts from that number.

Invariants: (1) a value is in the log only if a record there, in its own batch or an earlier one, covers it; (2) after a crash or a change
of the active node the count is at most one reservation too high.
Left to others: the lane calls `charge` before it encrypts a batch, writes what it returns into that batch, and rotates when `is_due`.
"""
import msgspec

from holdfast import limits
from holdfast.crypto.keyring import Keyring, encryptions_bound, rotation_is_due
from holdfast.ids import Millis


class KeyUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Stored at `core/keyring-usage`: at most `reserved` values were ever encrypted under `term`."""

    term: int
    reserved: int


class KeyMeter:
    """The lane's counter for the active term. Not shared: only the lane encrypts with the barrier's keys."""

    def __init__(self, keyring: Keyring, stored: KeyUsage | None) -> None:
        self._keyring = keyring
        current = stored is not None and stored.term == keyring.active_term
        self._used = stored.reserved if stored is not None and current else 0
        self._reserved = self._used

    @property
    def used(self) -> int:
        """Values encrypted under the active term: exact, or up to one reservation too high."""
        return self._used

    def charge(self, values: int) -> KeyUsage | None:
        """Counts `values` about to be encrypted. A record that comes back goes into the same batch; its own value is counted here."""
        assert values >= 0, values
        self._used += values
        if self._used <= self._reserved:
            return None
        self._used += 1
        self._reserved = self._used + self._step()
        return KeyUsage(term=self._keyring.active_term, reserved=self._reserved)

    def abandon(self) -> None:
        """A batch with a reservation may not have become durable: the next charge writes a new one. The count stays."""
        self._reserved = 0

    def is_due(self, now_ms: Millis) -> bool:
        """Whether the keyring is to be rotated now, by count or by time."""
        return rotation_is_due(self._keyring, encryptions=self._used, now_ms=now_ms)

    def follow(self, keyring: Keyring) -> None:
        """The keyring changed: a new term counts from nothing."""
        if keyring.active_term != self._keyring.active_term:
            self._used = self._reserved = 0
        self._keyring = keyring

    def _step(self) -> int:
        return max(1, min(limits.KEY_USE_RESERVE, encryptions_bound(self._keyring) // 8))
