"""How to reach the server, from flags, environment and the stored token.

1. A flag wins over its variable, the variable over the default; `-ns` over `-namespace`; the agent's address over the server's.
2. VAULT_TOKEN wins over the stored token.
3. Whatever would weaken the connection (`VAULT_SKIP_VERIFY`) and cannot be read is an error, never a default.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from holdfast.cli import json_text
from holdfast.cli.durations import SECOND, format_duration, parse_duration
from holdfast.cli.errors import API, ExchangeError, Failure
from holdfast.cli.flags import Flags, parse_bool
from holdfast.cli.secret import mapping

DEFAULT_ADDRESS = "https://127.0.0.1:8200"
NOT_SET = "(not set)"
TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings:
    """Paths of PEM files; empty: the system's own authorities, no client certificate."""

    ca_cert: str = ""
    ca_cert_pem: str = ""
    ca_path: str = ""
    client_cert: str = ""
    client_key: str = ""
    server_name: str = ""
    skip_verify: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    address: str = DEFAULT_ADDRESS
    tls: TlsSettings = TlsSettings()
    timeout_s: float | None = TIMEOUT_S                 # None: for ever
    retries_max: int = 0
    proxy: str = ""
    redirects: bool = True
    token: str = ""
    namespace: str = ""
    wrap_ttl: str = ""
    mfa: tuple[str, ...] = ()
    policy_override: bool = False
    headers: tuple[tuple[str, str], ...] = ()
    show_curl: bool = False
    show_policy: bool = False


def read_settings(flags: Flags, env: Mapping[str, str], *, stored_token: str) -> Settings:
    """Raises Failure for a variable or a combination that cannot be used."""
    return Settings(
        address=flags.string("agent-address") or flags.string("address") or DEFAULT_ADDRESS,
        tls=_tls(flags, env),
        timeout_s=_timeout(env),
        retries_max=_retries(env),
        proxy=env.get("VAULT_PROXY_ADDR") or env.get("VAULT_HTTP_PROXY") or "",
        redirects=not _switch(flags, env, "disable-redirects", "VAULT_DISABLE_REDIRECTS"),
        token=env.get("VAULT_TOKEN") or stored_token,
        namespace=_namespace(flags),
        wrap_ttl=_wrap_ttl(flags),
        mfa=flags.strings("mfa"),
        policy_override=flags.switch("policy-override"),
        headers=_headers(flags, env),
        show_curl=flags.switch("output-curl-string"),
        show_policy=flags.switch("output-policy"),
    )


def _tls(flags: Flags, env: Mapping[str, str]) -> TlsSettings:
    tls = TlsSettings(
        ca_cert=flags.string("ca-cert"),
        ca_cert_pem=env.get("VAULT_CACERT_BYTES", ""),
        ca_path=flags.string("ca-path"),
        client_cert=flags.string("client-cert"),
        client_key=flags.string("client-key"),
        server_name=flags.string("tls-server-name"),
        skip_verify=_switch(flags, env, "tls-skip-verify", "VAULT_SKIP_VERIFY"),
    )
    if bool(tls.client_cert) != bool(tls.client_key):
        raise Failure("failed to setup TLS config: both client cert and client key must be provided", API)
    return tls


def _switch(flags: Flags, env: Mapping[str, str], name: str, variable: str) -> bool:
    text = env.get(variable, "")
    if text and not flags.given(name):
        try:
            return parse_bool(text)
        except ValueError:
            raise Failure(f"failed to read environment: could not parse {variable}", API) from None
    return flags.switch(name)


def _timeout(env: Mapping[str, str]) -> float | None:
    text = env.get("VAULT_CLIENT_TIMEOUT", "")
    if not text:
        return TIMEOUT_S
    try:
        nanoseconds = parse_duration(text)
        if nanoseconds < 0:
            raise ValueError("below zero")
    except ValueError:
        raise Failure('failed to read environment: could not parse "VAULT_CLIENT_TIMEOUT"', API) from None
    return nanoseconds / SECOND if nanoseconds else None


def _retries(env: Mapping[str, str]) -> int:
    """A command is tried once, unless the variable says otherwise."""
    text = env.get("VAULT_MAX_RETRIES", "")
    if text and not text.isdecimal():
        raise Failure(f'failed to read environment: strconv.ParseUint: parsing "{text}": invalid syntax', API)
    return int(text) if text else 0


def _namespace(flags: Flags) -> str:
    name = flags.string("ns") if flags.string("ns") != NOT_SET else flags.string("namespace")
    name = "" if name == NOT_SET else name.strip("/")
    return "" if name in ("", "root") else name + "/"


def _wrap_ttl(flags: Flags) -> str:
    nanoseconds = flags.integer("wrap-ttl")
    return format_duration(nanoseconds) if nanoseconds else ""


def _own_headers(env: Mapping[str, str]) -> dict[str, str]:
    """Those of VAULT_HEADERS, a JSON object. Its values may be secret: no message repeats them."""
    try:
        found = mapping(json_text.parse(env.get("VAULT_HEADERS") or "{}"))
    except ExchangeError:
        found = None
    headers = {name: value for name, value in (found or {}).items() if isinstance(value, str)}
    if found is None or len(headers) < len(found):
        raise Failure("failed to read environment: VAULT_HEADERS is no JSON object of strings", API)
    return headers


def _headers(flags: Flags, env: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    headers = tuple({**_own_headers(env), **flags.pairs("header")}.items())
    refused = [name for name, _ in headers if name.lower().startswith("x-vault-")]
    if refused:
        names = ", ".join(refused)
        raise Failure(f"failed to setup Headers[{names}]: Header starting by 'X-Vault-' are for internal usage only", API)
    for name, value in headers:
        if any(c in "\r\n" for c in name + value):
            raise Failure("failed to setup Headers: a header cannot hold a line break", API)
    return headers
