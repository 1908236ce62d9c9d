"""Which request headers stand in audit entries. Source: Vault API, "/sys/config/auditing/request-headers"."""
from collections.abc import Mapping

import msgspec

from holdfast.engine import Table, Txn


class HeaderSettings(msgspec.Struct, frozen=True):
    """`hmac`: shown as its hash under each device's salt."""

    hmac: bool = False


AUDITED = Table("core/config/audited-headers/", HeaderSettings)
"""By the header's name in lower case."""
ALWAYS: Mapping[str, HeaderSettings] = {name: HeaderSettings() for name in ("correlation-id", "x-correlation-id")}
"""Audited without being asked for: they can be hashed, and not taken away. Source: Vault, "Upgrade to 1.17"."""
KEPT_BY_PARSER = frozenset((
    "accept", "accept-encoding", "authorization", "connection", "content-length", "expect", "host", "transfer-encoding", "user-agent",
    "x-vault-request", "x-vault-token"))
"""What every request has is read once and not carried along: these never stand in an entry."""


def load_audited(txn: Txn) -> Mapping[str, HeaderSettings]:
    """For `txn.derive`: all of them, by name."""
    return dict(sorted({**ALWAYS, **AUDITED.all(txn)}.items()))
