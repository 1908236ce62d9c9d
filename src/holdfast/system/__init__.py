"""The system backend: engines that stand on core. Each module gives its routes; here they become engines."""
from collections.abc import Iterable

from holdfast.core.access import Access
from holdfast.engine import Engine
from holdfast.system import (
    audit,
    auth_mounts,
    capabilities,
    config,
    identity,
    keys,
    leases,
    locked_users,
    mounts,
    node,
    policies,
    raft,
    remount,
    seal,
    status,
    tokens,
    tools,
    ui,
    unmount,
    wrapping,
)


def build(access: Access) -> tuple[Engine, Iterable[Engine]]:
    """The engine below sys/, and the other engines that stand on core. They find mounts, leases and tokens through `access`, which is
    not complete before this returns."""
    below_sys = Engine(type="system", at_root=True, routes=(
        *status.ROUTES,
        *seal.ROUTES,
        *keys.ROUTES,
        *node.ROUTES,
        *audit.routes(access),
        *config.ROUTES,
        *mounts.routes(access),
        *auth_mounts.routes(access),
        *remount.ROUTES,
        *policies.ROUTES,
        *capabilities.ROUTES,
        *leases.routes(access),
        *locked_users.ROUTES,
        *wrapping.ROUTES,
        *raft.ROUTES,
        *tools.ROUTES,
        *ui.routes(access),
    ), jobs={
        unmount.KIND: unmount.step,
    })
    return below_sys, (tokens.build(access), identity.IDENTITY)
