"""Clearing away in steps: what a disabled mount leaves in core's own records, and all below a revoked path.

Each step writes some JOB_KEYS_MAX keys and gives the cursor of the next. Two walks, one after the other: tokens by the path where they were
made, then leases by their id. What is found is already dead for whoever asks.
"""
from holdfast.core import identity, leases, token_revoke, token_store
from holdfast.core.marks import PrefixMark
from holdfast.core.mounts import MountEntry
from holdfast.core.token_store import ENTRIES, TokenEntry
from holdfast.engine import Txn
from holdfast.ids import Millis
from holdfast.limits import JOB_KEYS_MAX, LEASES_AT_ONCE

TOKENS_OF_STEP = JOB_KEYS_MAX // token_revoke.KEYS_OF_ONE
TOKENS, LEASES = "tokens:", "leases:"


def below(txn: Txn, mark: PrefixMark, cursor: str, now_ms: Millis) -> str | None:
    """One step of revoking all below a marked prefix; None at the end."""
    if not cursor.startswith(LEASES):
        after = _revoke_tokens(txn, mark.prefix, cursor.removeprefix(TOKENS), now_ms, mark=mark)
        return TOKENS + after if after else LEASES
    _, after = leases.hasten_below(txn, mark.prefix, now_ms, after=cursor.removeprefix(LEASES), limit=LEASES_AT_ONCE, mark=mark)
    return LEASES + after if after else None


def mount(txn: Txn, entry: MountEntry, cursor: str, now_ms: Millis) -> tuple[str | None, bool]:
    """One step of ending what a disabled mount lent and let in. The cursor of the next one, None at the end; and whether this walk met
    leases that are not revoked yet, for which the mount has to stay."""
    if not cursor.startswith(LEASES):
        after = _revoke_tokens(txn, entry.path, cursor.removeprefix(TOKENS), now_ms, mount=entry.uuid)
        if after or not identity.forget_mount(txn, entry.accessor, LEASES_AT_ONCE):
            return TOKENS + after, True
        return LEASES, True
    met, after = leases.hasten_below(txn, entry.path, now_ms, after=cursor.removeprefix(LEASES), limit=LEASES_AT_ONCE, mount=entry.uuid)
    return (LEASES + after if after else None), met > 0


def _revoke_tokens(txn: Txn, prefix: str, after: str, now_ms: Millis, *, mark: PrefixMark | None = None, mount: str = "") -> str:
    names = txn.names(token_store.PATHS + prefix, after=after, limit=TOKENS_OF_STEP)
    found = [(id, ENTRIES.get(txn, id)) for id in (name.rpartition("/")[2] for name in names)]
    ends = [token_revoke.end_of(txn, id, entry) for id, entry in found if entry is not None and _is_meant(entry, mark, mount)]
    token_revoke.carry_out(txn, ends, now_ms)
    return names[-1] if len(names) == TOKENS_OF_STEP else ""


def _is_meant(entry: TokenEntry, mark: PrefixMark | None, mount: str) -> bool:
    return entry.mount == mount if mark is None else entry.index <= mark.index
