"""How long a token or a lease lives. Source: Vault, "Tokens" and "Lease, renew, and revoke".

Lengths are whole seconds but for what is left of a maximum: that ends to the millisecond, however late something is renewed."""
import msgspec
from msgspec.structs import replace

from holdfast.engine.time import capped
from holdfast.errors import BadRequest


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What applies where the thing was made: of the mount, else of the system."""

    default_s: int
    max_s: int


class Life(msgspec.Struct, frozen=True, kw_only=True):
    """How long from now on, and what was cut down for it."""

    ttl_ms: int
    warnings: tuple[str, ...] = ()

    @property
    def ttl_s(self) -> int:
        """As answers show it: of a second that has begun the whole, for 0 would be read as "never"."""
        return -(-self.ttl_ms // 1000)


def life(limits: Limits, *, asked_s: int = 0, own_s: int = 0, period_s: int = 0, own_max_s: int = 0, explicit_max_s: int = 0,
         age_ms: int = 0) -> Life:
    """0 is "none" everywhere.

    `asked_s`: of the request; it goes before `own_s`, that of the role or user. `own_max_s`: likewise. `age_ms`: since the thing was made.
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
    ttl_ms = ttl_s * 1000
    if ends_s:
        left_ms = ends_s * 1000 - age_ms
        if left_ms <= 0:
            raise BadRequest("past the max TTL, cannot renew")
        ttl_ms = min(ttl_ms, left_ms)
    given = Life(ttl_ms=ttl_ms, warnings=warnings)
    return given if given.ttl_s == ttl_s else replace(given, warnings=(*warnings, capped("TTL", ttl_s, given.ttl_s)))
