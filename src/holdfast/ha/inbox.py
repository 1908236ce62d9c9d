"""The active node's side of forwarding: which requests are under way here, by their id.

Invariants: (1) a request is under way at most once in a term, however often it comes; what a term that is over has not ended yet (a call to
the outside takes its time) commits nothing any more, so a later one runs it anew, as another node would; (2) what is under way is bounded
in number and bytes; (3) who sent it is who its id names. That it is not done again after it was answered is the lane's business
(`core/once`).
"""
from enum import Enum

from holdfast.engine import WriteId
from holdfast.ha.message import ForwardRequest
from holdfast.ids import Term
from holdfast.limits import INBOX_MAX, INBOX_MAX_BYTES


class Taken(Enum):
    RUN = "run"
    JOINED = "joined"                                # it is under way: its answer goes to who sent it last
    FULL = "full"


class Inbox:
    def __init__(self) -> None:
        self._under_way: dict[WriteId, tuple[Term, int]] = {}        # in which term, and the size of its body
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._under_way)

    def take(self, message: ForwardRequest) -> Taken:
        """What to do with a request that has come."""
        id, size = message.origin.id, len(message.request.body)
        known = self._under_way.get(id)
        if known is not None and known[0] >= message.term:
            return Taken.JOINED
        self.done(id)
        if len(self._under_way) >= INBOX_MAX or self._bytes + size > INBOX_MAX_BYTES:
            return Taken.FULL
        self._under_way[id] = message.term, size
        self._bytes += size
        return Taken.RUN

    def done(self, id: WriteId) -> None:
        """It has ended, whichever way."""
        if (known := self._under_way.pop(id, None)) is not None:
            self._bytes -= known[1]

    def done_not(self, id: WriteId, term: Term) -> None:
        """It has come to nothing in this term; in a later one it may be under way."""
        known = self._under_way.get(id)
        if known is not None and known[0] == term:
            self.done(id)
