"""The active node's side of forwarding: which requests are under way here, by their id.

Invariants: (1) a request is under way at most once, however often it comes; (2) what is under way is bounded in number and bytes; (3) who
sent it is who its id names. That it is not done again after it was answered is the lane's business (`core/once`).
"""
from enum import Enum

from holdfast.engine import WriteId
from holdfast.ha.message import ForwardRequest
from holdfast.limits import INBOX_MAX, INBOX_MAX_BYTES


class Taken(Enum):
    RUN = "run"
    JOINED = "joined"                                # it is under way: its answer goes to who sent it last
    FULL = "full"


class Inbox:
    def __init__(self) -> None:
        self._under_way: dict[WriteId, int] = {}         # to the size of its body
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._under_way)

    def take(self, message: ForwardRequest) -> Taken:
        """What to do with a request that has come."""
        id, size = message.origin.id, len(message.request.body)
        if id in self._under_way:
            return Taken.JOINED
        if len(self._under_way) >= INBOX_MAX or self._bytes + size > INBOX_MAX_BYTES:
            return Taken.FULL
        self._under_way[id] = size
        self._bytes += size
        return Taken.RUN

    def done(self, id: WriteId) -> None:
        """It has ended, whichever way."""
        self._bytes -= self._under_way.pop(id, 0)
