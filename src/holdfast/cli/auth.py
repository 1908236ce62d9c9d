"""`auth …`: which auth methods are mounted where."""
from __future__ import annotations

from functools import partial

from holdfast.cli import mount_flags, mounts
from holdfast.cli.command import Command, Session, options
from holdfast.cli.durations import ttl_to_api
from holdfast.cli.errors import API, USAGE, Explained, Failure
from holdfast.cli.flags import Flag, Flags, Kind
from holdfast.cli.json_text import Json
from holdfast.cli.login_methods import METHODS
from holdfast.cli.paths import sanitize, with_slash
from holdfast.cli.secret import mapping, text


def _lockout(flags: Flags) -> dict[str, Json]:
    """What was given of the lockout's settings."""
    given: dict[str, Json] = {}
    if flags.given("user-lockout-threshold"):
        given["lockout_threshold"] = str(flags.integer("user-lockout-threshold"))
    for name, field in (("duration", "lockout_duration"), ("counter-reset-duration", "lockout_counter_reset_duration")):
        if flags.given(f"user-lockout-{name}"):
            given[field] = ttl_to_api(flags.integer(f"user-lockout-{name}"))
    if flags.given("user-lockout-disable"):
        given["lockout_disable"] = flags.switch("user-lockout-disable")
    return given


def _tune(session: Session) -> int:
    if session.flags.integer("user-lockout-threshold") < 0:
        raise Failure("-user-lockout-threshold cannot be negative", USAGE)
    lockout = _lockout(session.flags)
    return mounts.tune(session, mounts.AUTH, **({"user_lockout_config": lockout} if lockout else {}))


def _help(session: Session) -> int:
    argument = session.arguments(1, 1)[0]
    method = METHODS.get(argument.strip())
    if method is None:
        path = with_slash(sanitize(argument))
        client = session.client()
        with Explained("Error listing auth methods"):
            found = mounts.mounts_of(client.call("GET", "sys/auth").body)
        if path not in found:
            raise Failure(f'No auth method available on the server at "{path}"', USAGE)
        method = METHODS.get(text((mapping(found[path]) or {}).get("type")))
        if method is None:
            raise Failure(f'No method-specific CLI handler available for auth method "{argument}"', API)
    session.ui.output(method.help)
    return 0


_LIST_DETAILED = Flag(name="detailed", kind=Kind.SWITCH, text="Print TTLs, options and all else that is known of each auth method.")
_LOCKOUT = (
    Flag(name="user-lockout-threshold", kind=Kind.INTEGER, text="Failed logins after which a user is locked."),
    Flag(name="user-lockout-duration", kind=Kind.DURATION, text="How long a user stays locked."),
    Flag(name="user-lockout-counter-reset-duration", kind=Kind.DURATION, text="Time without a failed login that resets the count."),
    Flag(name="user-lockout-disable", kind=Kind.SWITCH, text="Never lock users of this auth method."),
)

COMMANDS = (
    Command(
        name="auth",
        synopsis="Interact with auth methods",
        usage="<subcommand> [options] [args]",
        text='Auth methods turn somebody\'s proof of identity into a token. To log in, see "holdfast login".',
        examples=(("List what is mounted:", "holdfast auth list"),),
    ),
    Command(
        name="auth enable",
        synopsis="Enables a new auth method",
        usage="[options] TYPE",
        text="Mounts an auth method of type TYPE, below auth/.",
        examples=(("Let people log in with name and password:", "holdfast auth enable userpass"),),
        options=options(*mount_flags.ENABLE_AUTH, format=False),
        run=partial(mounts.enable, kind=mounts.AUTH),
    ),
    Command(
        name="auth disable",
        synopsis="Disables an auth method",
        usage="[options] PATH",
        text="Unmounts the auth method at PATH. All tokens that it gave are revoked.",
        examples=(("Unmount:", "holdfast auth disable userpass"),),
        options=options(format=False),
        run=partial(mounts.disable, kind=mounts.AUTH),
    ),
    Command(
        name="auth list",
        synopsis="Lists enabled auth methods",
        usage="[options]",
        text="Lists the mounted auth methods.",
        examples=(("List them with their settings:", "holdfast auth list -detailed"),),
        options=options(_LIST_DETAILED),
        run=partial(mounts.list_all, kind=mounts.AUTH),
    ),
    Command(
        name="auth tune",
        synopsis="Tunes an auth method configuration",
        usage="[options] PATH",
        text="Changes settings of the auth method mounted at PATH; what is not given stays as it is.",
        examples=(("Set the TTL of its tokens:", "holdfast auth tune -default-lease-ttl=72h userpass"),),
        options=options(*mount_flags.TUNE_AUTH, *_LOCKOUT, format=False),
        run=_tune,
    ),
    Command(
        name="auth move",
        synopsis="Move an auth method to a new path",
        usage="[options] SOURCE DESTINATION",
        text="Mounts an auth method elsewhere, with all it holds; both paths begin with auth/. Its tokens are revoked.",
        examples=(("Move:", "holdfast auth move auth/userpass auth/people"),),
        options=options(format=False),
        run=partial(mounts.move, kind=mounts.AUTH),
    ),
    Command(
        name="auth help",
        synopsis="Prints usage for an auth method",
        usage="[options] TYPE | PATH",
        text="Prints how to log in with an auth method.",
        examples=(("By its type:", "holdfast auth help userpass"),),
        options=options(format=False),
        run=_help,
    ),
)
