"""`secrets …`: which secrets engines are mounted where."""
from __future__ import annotations

from functools import partial

from holdfast.cli import mount_flags, mounts
from holdfast.cli.command import Command, options
from holdfast.cli.flags import Flag, Kind

_LIST_DETAILED = Flag(name="detailed", kind=Kind.SWITCH, text="Print TTLs, options and all else that is known of each mount.")

COMMANDS = (
    Command(
        name="secrets",
        synopsis="Interact with secrets engines",
        usage="<subcommand> [options] [args]",
        text="Secrets engines keep, make or encrypt; each is mounted at a path of its own.",
        examples=(("List what is mounted:", "holdfast secrets list"),),
    ),
    Command(
        name="secrets enable",
        synopsis="Enable a secrets engine",
        usage="[options] TYPE",
        text="Mounts a secrets engine of type TYPE.",
        examples=(("Mount versioned secrets at secret/:", "holdfast secrets enable -path=secret -version=2 kv"),),
        options=options(*mount_flags.ENABLE_SECRETS, format=False),
        run=partial(mounts.enable, kind=mounts.SECRETS),
    ),
    Command(
        name="secrets disable",
        synopsis="Disable a secret engine",
        usage="[options] PATH",
        text="Unmounts what is mounted at PATH. Its leases are revoked and all it holds is deleted.",
        examples=(("Unmount:", "holdfast secrets disable secret"),),
        options=options(format=False),
        run=partial(mounts.disable, kind=mounts.SECRETS),
    ),
    Command(
        name="secrets list",
        synopsis="List enabled secrets engines",
        usage="[options]",
        text="Lists the mounted secrets engines.",
        examples=(("List them with their settings:", "holdfast secrets list -detailed"),),
        options=options(_LIST_DETAILED),
        run=partial(mounts.list_all, kind=mounts.SECRETS),
    ),
    Command(
        name="secrets tune",
        synopsis="Tune a secrets engine configuration",
        usage="[options] PATH",
        text="Changes settings of the secrets engine mounted at PATH; what is not given stays as it is.",
        examples=(("Set the longest TTL:", "holdfast secrets tune -max-lease-ttl=72h database"),),
        options=options(*mount_flags.TUNE_SECRETS, format=False),
        run=partial(mounts.tune, kind=mounts.SECRETS),
    ),
    Command(
        name="secrets move",
        synopsis="Move a secrets engine to a new path",
        usage="[options] SOURCE DESTINATION",
        text="Mounts a secrets engine elsewhere, with all it holds; its leases are revoked.",
        examples=(("Move:", "holdfast secrets move secret kv"),),
        options=options(format=False),
        run=partial(mounts.move, kind=mounts.SECRETS),
    ),
)
