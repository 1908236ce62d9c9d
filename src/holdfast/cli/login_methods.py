"""How the command line logs in: one record per auth method."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from holdfast.cli.client import Client
from holdfast.cli.command import Session
from holdfast.cli.errors import ExchangeError
from holdfast.cli.flags import parse_bool
from holdfast.cli.secret import Auth, Secret, mapping, number, strings, text

Config = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Method:
    """`log_in` gets `mount` and what was given as K=V. It raises ExchangeError, or Failure for what cannot be asked for."""

    log_in: Callable[[Session, Client, Config], Secret]
    help: str


def _token(session: Session, client: Client, config: Config) -> Secret:
    """A token that is already there; looked up, unless `lookup=false`."""
    try:
        looks_up = parse_bool(config.get("lookup", "true"))
    except ValueError as error:
        raise ExchangeError(f'Failed to parse "lookup" as boolean: {error}') from error
    token = config.get("token")
    if token is None:
        token = session.ask_secret("Token (will be hidden): ", what="token", instead='Pass "-" as the argument to read it from stdin.')
    token = token.strip()
    if not token:
        raise ExchangeError("a token must be passed to auth, please view the help for more information")
    if not looks_up:
        return Secret(auth=Auth(client_token=token))
    try:
        secret = client.using(token=token, wrap_ttl="").fetch("GET", "auth/token/lookup-self")
    except ExchangeError as error:
        raise ExchangeError(f"error looking up token: {error}") from error
    if secret is None:
        raise ExchangeError("empty response from lookup-self")
    return Secret(auth=_auth_of(secret))


def _auth_of(secret: Secret) -> Auth:
    """What a lookup says, in the form of a login's answer."""
    policies = strings(secret["policies"]) or ()
    identity = strings(secret["identity_policies"])
    metadata = mapping(secret["meta"])
    return Auth(
        client_token=text(secret["id"]),
        accessor=text(secret["accessor"]),
        policies=(*policies, *(name for name in identity or () if name not in policies)),
        token_policies=policies,
        identity_policies=identity,
        metadata=None if metadata is None else {key: text(value) for key, value in metadata.items()},
        lease_duration=number(secret["ttl"]),
        renewable=secret["renewable"] is True,
    )


def _userpass(session: Session, client: Client, config: Config) -> Secret:
    username = config.get("username", "")
    if not username:
        raise ExchangeError("'username' must be specified")
    password = config.get("password", "")
    if not password:
        password = session.ask_secret("Password (will be hidden): ", what="password", instead="With password=- it is read from stdin.")
    secret = client.write(f"auth/{config['mount'].strip('/')}/login/{username}", {"password": password})
    if secret is None:
        raise ExchangeError("empty response from credential provider")
    return secret


METHODS: Mapping[str, Method] = {
    "token": Method(
        _token,
        "Usage: holdfast login TOKEN [CONFIG K=V...]\n\n"
        "  Logs in with a token that is already there: it is looked up and kept for later commands.\n\n"
        "      $ holdfast login hvs.CAES...\n"
        "      $ holdfast login token=- lookup=false\n\n"
        "Configuration:\n\n"
        "  lookup=<bool>\n      Whether the server is asked about the token; true if not given.\n\n"
        "  token=<string>\n      The token; asked for if it is not given.",
    ),
    "userpass": Method(
        _userpass,
        "Usage: holdfast login -method=userpass [CONFIG K=V...]\n\n"
        "  Logs in with a name and a password that the server keeps.\n\n"
        "      $ holdfast login -method=userpass username=ann\n"
        "      Password (will be hidden):\n\n"
        "Configuration:\n\n"
        "  password=<string>\n      The password; asked for if it is not given.\n\n"
        "  username=<string>\n      The name.",
    ),
}
