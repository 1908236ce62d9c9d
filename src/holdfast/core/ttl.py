"""How long a token or a lease lives. Source: Vault, "Tokens" and "Lease, renew, and revoke"; all times here are whole seconds."""
import msgspec

from holdfast.engine.time import capped
from holdfast.errors import BadRequest


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What applies where the thing was made: of the mount, else of the system."""

    default_s: int
    max_s: int


class Life(msgspec.Struct, frozen=True, kw_only=True):
    """How long from now on, and what was cut down for it."""

    ttl_s: int
    warnings: tuple[str, ...] = ()


def life(limits: Limits, *, asked_s: int = 0, own_s: int = 0, period_s: int = 0, own_max_s: int = 0, explicit_max_s: int = 0,
         age_s: int = 0) -> Life:
    """0 is "none" everywhere.

    `asked_s`: of the request; it goes before `own_s`, that of the role or user. `own_max_s`: likewise. `age_s`: since the thing was made.
    A period starts anew at each renewal, and only an explicit maximum ends it. Raises BadRequest: the maximum has been reached.
    """
    max_s = min(limits.max_s, own_max_s or limits.max_s, explicit_max_s or limits.max_s)
    warnings: tuple[str, ...] = ()
    if period_s:
        if period_s > max_s:
            warnings = (capped("period", period_s, max_s),)
        ttl_s, ends_s = min(period_s, max_s), explicit_max_s
    else:
        ttl_s, ends_s = asked_s or own_s or limits.default_s, max_s
    if ends_s:
        left_s = ends_s - age_s
        if left_s <= 0:
            raise BadRequest("past the max TTL, cannot renew")
        if ttl_s > left_s:
            warnings += (capped("TTL", ttl_s, left_s),)
            ttl_s = left_s
    return Life(ttl_s=ttl_s, warnings=warnings)
