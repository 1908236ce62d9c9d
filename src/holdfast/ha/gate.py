"""May this node read, and may this answer leave? Rules 1 and 2 of the read lease protocol (docs/consistency.md).

Invariant: a response that depends on index r leaves only when r <= V, or when nothing that it read changed after V.
"""
from enum import Enum, IntEnum
from typing import Protocol

from holdfast.ids import Index, Millis
from holdfast.replica import Reader, Reads


class Word(IntEnum):
    """Atomic 64-bit words, written by main, read by its workers."""

    LEASE_UNTIL_BOOT_MS = 0                          # 0: none
    WATERMARK = 1                                    # V
    CLUSTER_TIME_OFFSET_MS = 2                       # cluster time = CLOCK_BOOTTIME + this
    MAIN_BEAT_BOOT_MS = 3
    AUDIT_GENERATION = 4                             # grows at each re-opening of the audit files


# Plain module names: reading a member off an Enum class costs more than the word itself.
LEASE_UNTIL_BOOT_MS, WATERMARK, CLUSTER_TIME_OFFSET_MS = Word.LEASE_UNTIL_BOOT_MS, Word.WATERMARK, Word.CLUSTER_TIME_OFFSET_MS


class Words(Protocol):
    def load(self, word: int) -> int: ...
    def store(self, word: int, value: int) -> None: ...


class Verdict(Enum):
    GO = "go"
    WAIT = "wait"                                    # for V; past the deadline: forward


GO, WAIT = Verdict.GO, Verdict.WAIT


def may_read(words: Words, now_boot_ms: Millis) -> bool:
    """Asked before the replica is opened."""
    return now_boot_ms < words.load(LEASE_UNTIL_BOOT_MS)


def may_answer(words: Words, reader: Reader, index: Index, reads: Reads) -> Verdict:
    """Asked after the handler: V covers the state that was read, or nothing that it read changed after V."""
    watermark = words.load(WATERMARK)
    if index <= watermark or not (reads.names or reads.parts):
        return GO
    changed = reader.changed_since(Index(watermark))
    return WAIT if changed is None or reads.touches(changed) else GO
