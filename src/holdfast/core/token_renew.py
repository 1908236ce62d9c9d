"""Renewing a token: it lives on from now, as far as its mount, its role and its own limits allow.

Invariants: (1) a token of a login is renewed only if its auth method agrees; (2) a maximum counts from when the token was made; a period
from now; (3) the time may come out shorter than it was: that is what was asked for, and what the next renewal goes by that asks for none.
"""
from msgspec.structs import replace

from holdfast.core import identity, token_store, ttl
from holdfast.core.access import Access
from holdfast.core.mounts import MountEntry, as_mount, load_mounts
from holdfast.core.token_roles import ROLES
from holdfast.core.token_store import TokenEntry
from holdfast.core.tokens import SERVICE_TYPE, merged
from holdfast.crypto import Secret
from holdfast.engine import Auth, Context, Renewal, Response, TokenParams, Txn
from holdfast.errors import BadRequest
from holdfast.ids import Millis


def renew(txn: Txn, ctx: Context, access: Access, id: str, entry: TokenEntry, *, increment_s: int, text: Secret | None) -> Response:
    """The `auth` answer of a renewal; `text` is shown in it. Raises BadRequest: it cannot be renewed, or no longer."""
    if entry.expires_ms is None:
        raise BadRequest("invalid lease ID")             # what Vault calls the life of a token that has none
    if not entry.renewable:
        raise BadRequest("lease is not renewable")
    own, limits = _terms(txn, ctx, access, entry)
    life = ttl.life(limits, asked_s=increment_s, own_s=own.ttl_s, period_s=own.period_s, own_max_s=own.max_ttl_s,
                    explicit_max_s=own.explicit_max_ttl_s, age_ms=ctx.now_ms - entry.created_ms)
    expires_ms = Millis(ctx.now_ms + life.ttl_ms)
    token_store.put_changed(txn, id, entry, replace(entry, expires_ms=expires_ms, renewed_ms=ctx.now_ms))
    return Response(auth=shown(txn, entry, text=text, lease_s=life.ttl_s), warnings=life.warnings)


def shown(txn: Txn, entry: TokenEntry, *, text: Secret | None, lease_s: int) -> Auth:
    """The `auth` block of a service token that exists."""
    known = identity.standing(txn, entry.entity_id)
    ours = known.policies if known is not None else ()
    return Auth(
        client_token=text, accessor=entry.accessor, policies=merged(entry.policies, ours), token_policies=entry.policies,
        identity_policies=ours, metadata=entry.meta, lease_duration=lease_s, renewable=entry.renewable, entity_id=entry.entity_id,
        token_type=SERVICE_TYPE, orphan=token_store.is_orphan(txn, entry), num_uses=entry.num_uses, display_name=entry.display_name)


def _terms(txn: Txn, ctx: Context, access: Access, entry: TokenEntry) -> tuple[TokenParams, ttl.Limits]:
    made = TokenParams(ttl_s=_last_s(entry), max_ttl_s=entry.max_ttl_s, period_s=entry.period_s,
                       explicit_max_ttl_s=entry.explicit_max_ttl_s)
    if not entry.mount:
        return _of_role(txn, entry, made), ttl.Limits(default_s=ctx.mount.default_ttl_s, max_s=ctx.mount.max_ttl_s)
    mount_entry: MountEntry = txn.derive(load_mounts).by_uuid[entry.mount]   # there, or the token would be dead
    engine, mount = access.registry.of(mount_entry), as_mount(mount_entry, access.defaults)
    limits = ttl.Limits(default_s=mount.default_ttl_s, max_s=mount.max_ttl_s)
    if engine.renew_login is None:
        return made, limits
    asked = Renewal(alias=entry.alias, policies=entry.policies, internal=entry.internal, metadata=entry.meta or {})
    params = engine.renew_login(txn.at(mount.prefix), asked, replace(ctx, mount=mount))
    return replace(params, explicit_max_ttl_s=entry.explicit_max_ttl_s), limits


def _last_s(entry: TokenEntry) -> int:
    """How long it was given to live, when it was made or at its last renewal."""
    return entry.ttl_s if entry.renewed_ms is None or entry.expires_ms is None else -(-(entry.expires_ms - entry.renewed_ms) // 1000)


def _of_role(txn: Txn, entry: TokenEntry, made: TokenParams) -> TokenParams:
    if not entry.role:
        return made
    role = ROLES.get(txn, entry.role)
    if role is None:
        raise BadRequest(f'original token role "{entry.role}" could not be found, not renewing')
    return replace(made, period_s=role.period_s, explicit_max_ttl_s=role.explicit_max_ttl_s)
