"""What the configuration says of a node's part in its cluster."""
from enum import Enum

import msgspec

from holdfast.ha.rules import RULES, TIMES, Rules, Times
from holdfast.ids import NodeId


class Consistency(Enum):
    """What a read at a standby sees."""

    STRONG = "strong"                                # everything that was answered before it began: read leases
    SESSION = "session"                              # what this node has: for standbys that are far away
    STRICT = "strict"                                # as strong, without trust in clocks: a round for every read, batched


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """`incarnation` grows with each start of the process; a frame of an earlier one can then be told."""

    node: NodeId
    incarnation: int
    consistency: Consistency = Consistency.STRONG
    disable_performance_standby: bool = False        # on a standby: never asks; on the active node: selects nobody
    rules: Rules = RULES
    times: Times = TIMES
