"""Who asks: from the token of a request to what is known of it, and whether it may go on.

Invariants: (1) what is looked up depends on the state alone, and is cached; expiry, address and uses are asked at each request; (2) a
token that is unknown, malformed, revoked or expired gets one and the same refusal; (3) a token that names a newer state than this node has
is sent on, never refused. Making tokens: `token_create`; their end: `token_revoke`.
"""
from sys import intern
from typing import TypeAlias

import msgspec
from msgspec.structs import replace

from holdfast.core import due, identity, token_format, token_store
from holdfast.core.due import Kind
from holdfast.core.mounts import load_mounts
from holdfast.core.secret_names import accessor_name, load_names
from holdfast.core.token_store import ACCESSORS, ENTRIES, ROOT, USED_UP, TokenEntry
from holdfast.crypto import Secret
from holdfast.engine import Attempt, Op, Place, Request, Token, Txn, is_within
from holdfast.errors import IntegrityError, InvalidToken, PermissionDenied
from holdfast.ids import Millis
from holdfast.limits import TOKEN_MAX_BYTES
from holdfast.replica import Why

SERVICE_TYPE, BATCH_TYPE = "service", "batch"
FOREVER_MS = Millis(2**63 - 1)


class BatchClaims(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """All that a batch token is; nothing of it is stored. Hashable: it is part of a cache key."""

    created_ms: int
    ttl_s: int
    policies: tuple[str, ...]
    path: str
    index: int                                       # of the state it was made in
    meta: tuple[tuple[str, str], ...] = ()
    display_name: str = ""
    parent: str = ""
    entity_id: str = ""
    role: str = ""
    mount: str = ""
    bound_cidrs: tuple[str, ...] = ()

    @property
    def expires_ms(self) -> Millis:
        return Millis(self.created_ms + self.ttl_s * 1000)


Principal: TypeAlias = str | BatchClaims
"""The id of a service token, which need not exist; or the claims of a genuine batch token."""
NOT_OURS = ""                                        # the id of what no token of this cluster looks like

_claims = msgspec.msgpack.Decoder(BatchClaims).decode
_BATCH = token_format.BATCH.encode()


def principal(txn: Txn, value: Secret) -> Principal:
    """Whom a token stands for; nothing is refused here."""
    text = value.value
    if len(text) > TOKEN_MAX_BYTES:
        return NOT_OURS
    names = txn.derive(load_names)
    if not text.startswith(_BATCH):
        return intern(names.token.hex(text))         # one text for all that is cached of a token, compared at a glance
    body = token_format.batch_body(text)
    try:
        return NOT_OURS if body is None else _claims(names.batch.open(body))
    except (IntegrityError, msgspec.DecodeError):
        return NOT_OURS                              # forged, or of another cluster: refused like any unknown token


def is_ahead(txn: Txn, value: Secret) -> bool:
    """This token was made by a batch that has not come here yet: whoever has it can say more. For a token that was not found."""
    if txn.run.place is Place.ACTIVE or len(value.value) > TOKEN_MAX_BYTES:
        return False
    claims = principal(txn, value)
    index = claims.index if isinstance(claims, BatchClaims) else token_format.index_of(value.value, txn.derive(load_names).index)
    return index is not None and index > txn.run.reader.index


def find(txn: Txn, principal: Principal) -> Token | None:
    """The token, if it is there and nothing above it is gone; `is_valid` says whether it is still good. None: unknown or revoked."""
    if isinstance(principal, BatchClaims):
        return _find_batch(txn, principal)
    entry = ENTRIES.get(txn, principal)
    return None if entry is None else shown(txn, principal, entry)


def find_by_accessor(txn: Txn, accessor: str) -> Token | None:
    """As `find`."""
    known = ACCESSORS.get(txn, accessor_name(txn, accessor))
    return None if known is None else find(txn, known.id)


def is_valid(token: Token, now_ms: Millis) -> bool:
    """Neither expired nor used up."""
    return (token.expires_ms is None or token.expires_ms > now_ms) and token.num_uses >= 0


def shown(txn: Txn, id: str, entry: TokenEntry) -> Token | None:
    """An entry as requests see it. None: it is dead."""
    bounds = token_store.bounds(txn, entry)
    known = identity.standing(txn, entry.entity_id)
    if bounds is None or known is None:
        return None
    return Token(
        id=id, accessor=entry.accessor, type=SERVICE_TYPE, display_name=entry.display_name, entity_id=entry.entity_id,
        policies=merged(entry.policies, known.policies), num_uses=entry.num_uses, expires_ms=bounds.expires_ms, is_root=entry.is_root,
        bound_cidrs=entry.bound_cidrs, token_policies=entry.policies, identity_policies=known.policies, metadata=entry.meta,
        issued_ms=entry.created_ms, ttl_s=entry.ttl_s)


def merged(own: tuple[str, ...], of_identity: tuple[str, ...]) -> tuple[str, ...]:
    """Both sets of policies as one, sorted. An identity never makes a root token."""
    return tuple(sorted({*own, *(name for name in of_identity if name != ROOT)})) if of_identity else own


def _find_batch(txn: Txn, claims: BatchClaims) -> Token | None:
    if claims.mount:
        mount = txn.derive(load_mounts).by_uuid.get(claims.mount)
        if mount is None or mount.draining:
            return None
    expires_ms = claims.expires_ms
    if claims.parent:
        above = token_store.parent_bounds(txn, claims.parent)
        if above is None:
            return None
        if above.expires_ms is not None:
            expires_ms = min(expires_ms, above.expires_ms)
    known = identity.standing(txn, claims.entity_id)
    if known is None:
        return None
    return Token(
        id="", accessor="", type=BATCH_TYPE, display_name=claims.display_name, entity_id=claims.entity_id,
        policies=merged(claims.policies, known.policies), num_uses=0, expires_ms=expires_ms, is_root=False, bound_cidrs=claims.bound_cidrs,
        token_policies=claims.policies, identity_policies=known.policies, metadata=dict(claims.meta), issued_ms=Millis(claims.created_ms),
        ttl_s=claims.ttl_s)


def sure_until_ms(token: Token) -> Millis:
    """Until then `admit` would give the token as it is, whoever asks. 0: it has to be asked each time."""
    if token.num_uses or token.bound_cidrs:
        return Millis(0)
    return FOREVER_MS if token.expires_ms is None else token.expires_ms


def admit(txn: Txn, op: Op, token: Token, request: Request, attempt: Attempt) -> Token | None:
    """The token as it is after this request, one of its uses spent. A public operation spends nothing and refuses nobody: None where the
    token is no good. Raises PermissionDenied."""
    expired = token.expires_ms is not None and token.expires_ms <= attempt.now_ms
    used_up = token.num_uses < 0 and not attempt.memo.spent      # spent by an earlier attempt: it was this request's own
    elsewhere = bool(token.bound_cidrs) and not is_within(request.client.address, token.bound_cidrs)
    if expired or used_up or elsewhere:
        if op.public:
            return None
        raise PermissionDenied if elsewhere else InvalidToken
    if token.num_uses == 0 or op.public or attempt.memo.spent:
        return token
    txn.need(Place.ACTIVE, Why.SPEND if op.local else Why.WRITE)
    return replace(token, num_uses=spend_use(txn, token.id, attempt.now_ms))


def spend_use(txn: Txn, id: str, now_ms: Millis) -> int:
    """Takes one use from a token that has a limit; gives what is left, USED_UP after the last one. Then the token is due for revocation."""
    entry = ENTRIES.get(txn, id)
    assert entry is not None, "the token was found"
    left = entry.num_uses - 1 or USED_UP
    ENTRIES.spend(txn, id, replace(entry, num_uses=left))
    if left == USED_UP:
        due.spend(txn, now_ms, Kind.TOKEN, id)
    return left
