"""One process's attempts, where its knowledge of the node is not of one moment."""
from __future__ import annotations

import pytest
from tests.contract.one_node import FACTS, OneNode

from holdfast.core.outcome import Forward
from holdfast.crypto import UnknownKeyTerm
from holdfast.engine import NOTHING_YET, Method, Place, Rng
from holdfast.ha.gate import LEASE_UNTIL_BOOT_MS
from holdfast.ids import Millis
from holdfast.node.attempts import Attempts
from holdfast.testing.memory import PlainBarrier


class Words:
    """All of them say the same."""

    def __init__(self, value: int) -> None:
        self._value = value

    def load(self, word: int) -> int:
        return self._value if word == LEASE_UNTIL_BOOT_MS else 0

    def store(self, word: int, value: int) -> None:
        raise AssertionError(f"an attempt writes no word: {word}")


class Clock:
    def boot_ms(self) -> Millis:
        return Millis(1)

    def wall_ms(self) -> Millis:
        return Millis(1)


@pytest.mark.parametrize("lease_until_ms", [0, 2])
@pytest.mark.parametrize("path", ["sys/health", "sys/seal-status", "secret/config", "sys/mounts"])
def test_a_worker_without_keys_that_knows_of_no_seal_asks_main(path: str, lease_until_ms: int) -> None:
    """It is told of the keys and of the seal one after the other. A request between the two ended its process."""
    node = OneNode()
    attempts = Attempts(node.access, node.replica, Words(lease_until_ms), Clock(), Place.WORKER, lambda: bytes(32))
    attempts.facts = FACTS
    for token in ("", None):
        outcome, *_ = attempts.attempt(node.request(Method.GET, path, token=token), NOTHING_YET, Rng(lambda: bytes(32)))
        assert isinstance(outcome, Forward)


def test_a_refusal_is_audited_elsewhere_where_the_devices_cannot_be_read_here() -> None:
    """What says which devices there are is under a key that has not come yet: the refusal itself broke on it."""

    class Behind(PlainBarrier):
        def decrypt(self, key: str, sealed: bytes) -> bytes:
            if key.startswith("core/audit/"):
                raise UnknownKeyTerm(key)
            return super().decrypt(key, sealed)

    node = OneNode()
    assert node.call(Method.POST, "sys/audit/file", {"type": "file", "options": {"file_path": "discard"}}).status == 204
    node.barrier = Behind()
    assert isinstance(node.attempt(node.request(Method.GET, "sys/mounts", token=None), Place.WORKER), Forward)
