"""Which operations of the API need `sudo`: for the policy that -output-policy prints."""
from __future__ import annotations

import re

_PATTERNS = (
    r"auth/token/accessors",
    r"pki/root",
    r"pki/root/sign-self-issued",
    r"sys/audit(/.+)?",
    r"sys/auth/.+",
    r"sys/config/(auditing/request-headers|cors|ui/headers)(/.*)?",
    r"sys/internal/inspect/router/.+",
    r"sys/internal/counters/activity/export",
    r"sys/leases(/lookup/.*)?",
    r"sys/(leases/)?revoke-(force|prefix)/.+",
    r"sys/plugins/(catalog/.+|reload/backend.*)",
    r"sys/(raw|raw/.+|remount|rotate|seal|step-down)",
    r"sys/replication/reindex",
    r"sys/storage/raft/snapshot-auto/config(/.*)?",
)
_SUDO = re.compile("|".join(f"(?:{pattern})" for pattern in _PATTERNS))


def needs_sudo(path: str) -> bool:
    """`path` without `/v1/`."""
    return _SUDO.fullmatch(path.strip("/")) is not None
