"""`login`: from a proof of identity to a stored token."""
from __future__ import annotations

from collections.abc import Mapping

from holdfast.cli import token_file
from holdfast.cli.client import Client
from holdfast.cli.command import Command, Session, options
from holdfast.cli.data import parse_texts
from holdfast.cli.errors import API, USAGE, ExchangeError, Explained, Failure
from holdfast.cli.flags import Flag, Kind
from holdfast.cli.layout import wrap
from holdfast.cli.logical import warn_of_mfa
from holdfast.cli.login_methods import METHODS
from holdfast.cli.output import output_secret, print_field
from holdfast.cli.paths import sanitize, with_slash
from holdfast.cli.secret import Secret


def _login(session: Session) -> int:
    flags = session.flags
    token_only = flags.switch("token-only")
    keeps = not (token_only or flags.switch("no-store"))
    if not keeps and flags.switch("no-print"):
        raise Failure("-no-store and -no-print cannot be used together", USAGE)
    method, config = _method(session)
    client = session.client()
    if method != "token":
        client = client.using(token="")
    with Explained("Error authenticating"):
        secret = METHODS[method].log_in(session, client, config)
    if secret.auth is not None and secret.auth.mfa_requirement is not None:
        _warn_of_variable(session)
        warn_of_mfa(session.ui, secret)
        return output_secret(session.ui, secret)
    if secret.auth is None:
        if not keeps and _is_wrapped_token(secret):
            return print_field(session.ui, secret, "wrapping_token") if token_only else output_secret(session.ui, secret)
        secret = _unwrapped(client, secret)
    return _finish(session, secret, keeps=keeps, token_only=token_only)


def _method(session: Session) -> tuple[str, Mapping[str, str]]:
    """The method's name and its settings, `mount` among them."""
    method = sanitize(session.flags.string("method")) or "token"
    if method not in METHODS:
        known = " and ".join(METHODS)
        raise Failure(wrap(f"Unknown auth method: {method}. This command line knows {known}; others need the HTTP API."), USAGE)
    args = session.args
    if method == "token" and args and "=" not in args[0]:
        args = [f"token={args[0]}", *args[1:]]
    try:
        config = parse_texts(args, session.read_stdin)
    except ValueError as error:
        raise Failure(f"Error parsing configuration: {error}", USAGE) from error
    return method, {"mount": session.flags.string("path") or with_slash(method), **config}


def _is_wrapped_token(secret: Secret) -> bool:
    return secret.wrap_info is not None and bool(secret.wrap_info.wrapped_accessor)


def _unwrapped(client: Client, secret: Secret) -> Secret:
    """The login inside a wrapped answer. Raises Failure."""
    head = "Error extracting token"
    if secret.wrap_info is None:
        raise Failure(f"{head}: no auth or wrapping info in response", API)
    if not secret.wrap_info.wrapped_accessor:
        raise Failure(f"{head}: wrapped response does not contain a token", API)
    with Explained(head):
        inner = client.using(token=secret.wrap_info.token, wrap_ttl="").unwrap("")
        if inner is None or inner.auth is None:
            raise ExchangeError("no auth in the unwrapped response")
    return inner


def _finish(session: Session, secret: Secret, *, keeps: bool, token_only: bool) -> int:
    assert secret.auth is not None
    ui = session.ui
    if keeps:
        _store(session, secret)
    elif not token_only:
        ui.warn(
            wrap(
                "The token below was not kept, as -no-store asks. Later commands need it in VAULT_TOKEN, other clients in each request."
            )
            + "\n"
        )
    if session.flags.switch("no-print"):
        return 0
    field = "token" if token_only else session.flags.string("field")
    if field:
        return print_field(ui, secret, field)
    if ui.is_table:
        # Scripts wait for the first sentence.
        stored = " Later commands of this user find the token below by themselves, until it expires or is revoked." if keeps else ""
        ui.output(wrap(f"Success! You are now authenticated.{stored}") + "\n")
    return output_secret(ui, secret)


def _store(session: Session, secret: Secret) -> None:
    assert secret.auth is not None
    try:
        token_file.store(session.env, secret.auth.client_token)
    except OSError as error:
        session.ui.error(f"Error storing token: {error}")
        text = "You are authenticated, but the token could not be stored: it is printed below and nowhere else.\n"
        raise Failure(text, API, secret=secret) from error
    _warn_of_variable(session)


def _warn_of_variable(session: Session) -> None:
    if session.env.get("VAULT_TOKEN"):
        session.ui.warn(
            wrap(
                "WARNING! VAULT_TOKEN is set, and what it holds wins over the token that was just stored: unset it, or give it the new "
                "token."
            )
            + "\n"
        )


COMMANDS = (
    Command(
        name="login",
        synopsis="Authenticate locally",
        usage="[options] [AUTH K=V...]",
        text="Logs in and stores the token for later commands. The method is token unless -method names another; what it needs follows as "
        'K=V, and passwords and tokens are asked for if they are not given. "holdfast auth help TYPE" tells what a method needs. '
        "With -wrap-ttl the token is unwrapped at once, unless -token-only or -no-store is given.",
        examples=(
            ("Log in with a token:", "holdfast login hvs.CAES..."),
            ("Log in with name and password:", "holdfast login -method=userpass username=ann"),
            ("The method is mounted elsewhere:", "holdfast login -method=userpass -path=people username=ann"),
        ),
        options=options(
            Flag(name="method", kind=Kind.STRING, default="token", text="Type of the auth method, as userpass."),
            Flag(name="path", kind=Kind.STRING, text="Path that the method is mounted at, below auth/; its type if not given."),
            Flag(name="no-store", kind=Kind.SWITCH, text="Do not store the token, only print it."),
            Flag(name="no-print", kind=Kind.SWITCH, text="Do not print the token, only store it."),
            Flag(name="token-only", kind=Kind.SWITCH, text="Print the token alone and do not store it: short for -field=token -no-store."),
            field=True,
        ),
        run=_login,
    ),
)
