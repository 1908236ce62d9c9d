"""Which web pages of other origins may ask this cluster. Source: Vault API, "/sys/config/cors".

One record for the cluster, read by every process from its replica, so that a change is followed wherever the next request comes in.
"""
import msgspec

from holdfast.engine import Table, Txn

EVERY_ORIGIN = "*"
STANDARD_HEADERS = (
    "Content-Type", "X-Requested-With", "X-Vault-AWS-IAM-Server-ID", "X-Vault-MFA", "X-Vault-No-Request-Forwarding", "X-Vault-Wrap-Format",
    "X-Vault-Wrap-TTL", "X-Vault-Policy-Override", "Authorization", "X-Vault-Token", "X-Vault-Namespace")
"""What a page may always send."""


class CrossOriginRules(msgspec.Struct, frozen=True, kw_only=True):
    """Kept only while pages of other origins may ask at all."""

    allowed_origins: tuple[str, ...]                 # "*" alone: every one
    allowed_headers: tuple[str, ...]                 # with the standard ones

    def allows(self, origin: str) -> bool:
        return self.allowed_origins == (EVERY_ORIGIN,) or origin in self.allowed_origins


CORS = Table("core/config/cors/", CrossOriginRules, cached=True)
RULES = "rules"


def load_rules(txn: Txn) -> CrossOriginRules | None:
    """None: off."""
    return CORS.get(txn, RULES)
