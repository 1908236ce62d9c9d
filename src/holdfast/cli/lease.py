"""`lease …`: looking at, renewing and revoking leases of dynamic secrets."""
from __future__ import annotations

from holdfast.cli.command import Command, Session, options
from holdfast.cli.durations import whole_seconds
from holdfast.cli.errors import USAGE, Explained, Failure
from holdfast.cli.flags import Flag, Kind
from holdfast.cli.output import output_secret


def _id(session: Session) -> str:
    if not session.args:
        raise Failure("Missing ID!", USAGE)
    return session.arguments(1, 1)[0].strip()


def _lookup(session: Session) -> int:
    lease = _id(session)
    client = session.client()
    with Explained(f"error looking up lease id {lease}"):
        secret = client.fetch("PUT", "sys/leases/lookup", {"lease_id": lease})
    return 0 if secret is None else output_secret(session.ui, secret)


def _renew(session: Session) -> int:
    lease = _id(session)
    increment = whole_seconds(session.flags.integer("increment"))
    client = session.client()
    with Explained(f"Error renewing {lease}"):
        secret = client.fetch("PUT", "sys/leases/renew", {"increment": increment, "lease_id": lease})
    return 0 if secret is None else output_secret(session.ui, secret)


def _revoke(session: Session) -> int:
    lease = session.arguments(1, 1)[0].strip()
    force, prefix, sync = (session.flags.switch(name) for name in ("force", "prefix", "sync"))
    if force and not prefix:
        raise Failure("Specifying -force requires also specifying -prefix", USAGE)
    client = session.client()
    if force:
        session.ui.warn("Warning! What was lent stays valid outside: forced leases are forgotten here without asking\nthe engine.")
    with Explained(f"Error {_doing(force, prefix)} {lease}"):
        if force:
            client.call("PUT", f"sys/leases/revoke-force/{lease}")
        else:
            client.call("PUT", f"sys/leases/revoke-prefix/{lease}" if prefix else f"sys/leases/revoke/{lease}", {"sync": sync})
    session.ui.output(_done(lease, force=force, prefix=prefix, sync=sync))
    return 0


def _doing(force: bool, prefix: bool) -> str:
    if force:
        return "force revoking leases with prefix"
    return "revoking leases with prefix" if prefix else "revoking lease"


def _done(lease: str, *, force: bool, prefix: bool, sync: bool) -> str:
    if force:
        return f"Success! Force revoked any leases with prefix: {lease}"
    if not sync:
        return "All revocation operations queued successfully!"
    return f"Success! Revoked any leases with prefix: {lease}" if prefix else f"Success! Revoked lease: {lease}"


COMMANDS = (
    Command(
        name="lease",
        synopsis="Interact with leases",
        usage="<subcommand> [options] [args]",
        text="A lease says how long a dynamic secret holds.",
        examples=(("Revoke all leases of a role:", "holdfast lease revoke -prefix database/creds/app"),),
    ),
    Command(
        name="lease lookup",
        synopsis="Lookup the lease of a secret",
        usage="[options] ID",
        text="Prints what the server knows of a lease.",
        examples=(("Look up:", "holdfast lease lookup database/creds/app/2f6a614c..."),),
        options=options(),
        run=_lookup,
    ),
    Command(
        name="lease renew",
        synopsis="Renews the lease of a secret",
        usage="[options] ID",
        text="Gives a lease more time.",
        examples=(("Ask for an hour:", "holdfast lease renew -increment=1h database/creds/app/2f6a614c..."),),
        options=options(Flag(name="increment", kind=Kind.DURATION, text="Time to ask for; the server need not grant it.")),
        run=_renew,
    ),
    Command(
        name="lease revoke",
        synopsis="Revokes leases and secrets",
        usage="[options] ID",
        text="Revokes a lease: its secret does not hold any more.",
        examples=(("Revoke all below a path and wait for it:", "holdfast lease revoke -prefix -sync database/creds"),),
        options=options(
            Flag(
                name="force",
                kind=Kind.SWITCH,
                aliases=("f",),
                text="Forget leases even if the engine cannot revoke them; for secrets that were removed by hand. Needs -prefix.",
            ),
            Flag(name="prefix", kind=Kind.SWITCH, text="ID is a prefix: revoke every lease below it."),
            Flag(name="sync", kind=Kind.SWITCH, text="Wait until it has been done, and say so if it fails."),
            format=False,
        ),
        run=_revoke,
    ),
)
