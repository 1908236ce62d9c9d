"""How an attempt ends. The process that ran it does what it says; nothing has happened before."""
from collections.abc import Callable
from typing import TypeAlias

import msgspec

from holdfast.core.audit_device import Device
from holdfast.core.mounts import MountEntry
from holdfast.engine import Effect, Memo, Mount, Place, Reply, Request, Result, Token
from holdfast.ids import Index, Millis
from holdfast.replica import Reads, Why
from holdfast.storage import Changes

NO_REPLY = Reply(status=204)
"""Of work that no client waits for."""


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One device's two lines: `request` before anything is appended or called, `response` before the answer leaves."""

    device: Device                                   # with all that it takes to open it: it may be younger than the replica
    request: bytes
    response: bytes


class Exchange(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What `core.audit` is told of a request and its result, to make the two lines of each device from."""

    request: Request
    now_ms: Millis
    mount: Mount | None                              # None: there is none
    entry: MountEntry | None                         # None: below sys/, or no mount
    token: Token | None                              # None: asked for none, or refused
    creates: bool = False                            # a write of what was not there
    permitted: bool                                  # by the policies; False also where the token was refused
    granting: tuple[str, ...]                        # names of the policies that allow it
    result: Result | None                            # None: it was refused, or its answer comes from an effect
    errors: tuple[str, ...]                          # as the client reads them


class Answer(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Nothing to write. It may leave once `index` <= V, or at once if nothing in `reads` changed after V."""

    reply: Reply
    index: Index
    reads: Reads
    audit: tuple[AuditEntry, ...] = ()


class Commit(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Append the changes (plaintext here), then the effects, then the reply once the batch's index <= V."""

    reply: Reply
    changes: Changes
    effects: tuple[Effect, ...]
    audit: tuple[AuditEntry, ...] = ()


class Forward(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Not here: at `to`. The memo goes along to the own main process, never to another node."""

    to: Place
    why: Why
    memo: Memo


class Heavy(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Compute in a pool; run the request again with the result in the memo."""

    key: bytes
    compute: Callable[[], object]


class Outside(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Audit, append `changes` (spends and the undo job), call within the deadline; run again with the result in the memo."""

    key: bytes
    call: Callable[[], object]
    within_ms: int
    changes: Changes
    undo_key: str
    share: str = ""                                  # uuid of the mount that calls: one that hangs holds up no other
    audit: tuple[AuditEntry, ...] = ()


class Do(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Main performs the effect outside any Txn; its value or stream is the answer."""

    effect: Effect
    changes: Changes                                 # spends only
    audit: tuple[AuditEntry, ...] = ()


Outcome: TypeAlias = Answer | Commit | Forward | Heavy | Outside | Do
