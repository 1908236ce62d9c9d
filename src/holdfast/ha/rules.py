"""The rules of the read leases as switches, and the times that they are built on. docs/consistency.md has the rules.

Every switch is on, always: only tests and the simulator turn one off, to see that what it guards against is found. Rules 7, 8 and 11 are
the log's own (`storage/raft`); 6 is about progress, 12 and 13 are not this room's.
"""
import msgspec

from holdfast.errors import InvariantError


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What is done while a switch is on."""

    waits_for_holders: bool = True                   # 1: V passes no index that a leaseholder has not applied
    asks_the_gate: bool = True                       # 2: a standby's answers wait for V
    caps_by_the_hold: bool = True                    # 3: no lease outlives the hold it was granted under
    grants_the_caught_up: bool = True                # 3: only to a node that has everything up to V
    counts_from_the_ask: bool = True                 # 3: not from when the grant came
    names_leases: bool = True                        # 4: (term, node, incarnation, serial); a release voids what is under way
    keeps_holders: bool = True                       # 5: a broken connection or a new incarnation ends no lease
    awaits_own_term: bool = True                     # 9: nothing before everything of earlier terms is applied
    collects_before_transfer: bool = True            # 10: all grants have ended before the fence is given on
    ends_hold_at_transfer: bool = True               # 10: its own hold is zeroed before, and stays so in that term


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """In ms of CLOCK_BOOTTIME."""

    lease: int = 150
    renew: int = 50                                  # between two asks of a standby
    margin: int = 10                                 # on top of a lease in the active node's record: clocks run at different speeds
    gate: int = 200                                  # how long voters refuse to elect another node

    def __post_init__(self) -> None:
        if not 0 < self.renew < self.lease or self.margin <= 0 or self.gate < self.lease + self.margin:
            raise InvariantError(f"these times break the rules of the read leases: {self}")


RULES = Rules()
TIMES = Times()
