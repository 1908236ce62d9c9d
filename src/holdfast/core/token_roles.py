"""Roles of the token method: how tokens made for a role differ from what their parent could make. Source: Vault API, auth/token/roles."""
import msgspec

from holdfast.engine import Table, TokenType


class TokenRole(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Times in s, 0: none. `old_names`: of the fields that were set by the names they had before Vault 1.2."""

    name: str
    allowed_policies: tuple[str, ...] = ()
    disallowed_policies: tuple[str, ...] = ()
    allowed_policies_glob: tuple[str, ...] = ()
    disallowed_policies_glob: tuple[str, ...] = ()
    allowed_entity_aliases: tuple[str, ...] = ()
    orphan: bool = False
    renewable: bool = True
    path_suffix: str = ""
    type: TokenType = TokenType.DEFAULT_SERVICE
    period_s: int = 0
    explicit_max_ttl_s: int = 0
    num_uses: int = 0
    bound_cidrs: tuple[str, ...] = ()
    no_default_policy: bool = False
    old_names: tuple[str, ...] = ()

    @property
    def limits_policies(self) -> bool:
        """It says which policies its tokens may have, whatever their parent has."""
        return bool(self.allowed_policies or self.disallowed_policies or self.allowed_policies_glob or self.disallowed_policies_glob)


ROLES = Table("core/token/role/", TokenRole)
