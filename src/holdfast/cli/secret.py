"""What the API answers, as records: a secret with its lease, its login or its wrapping.

1. `to_json(parse_secret(body))` has the fields and the order that Vault's command line prints.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from holdfast.cli.exchange import ExchangeError
from holdfast.cli.json_text import Json, Number, Record, parse

Object = Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Auth:
    """A login, or the token just made. TTL in s, 0: for ever."""

    client_token: str = ""
    accessor: str = ""
    policies: tuple[str, ...] | None = None
    token_policies: tuple[str, ...] | None = None
    identity_policies: tuple[str, ...] | None = None
    metadata: Mapping[str, str] | None = None
    orphan: bool = False
    entity_id: str = ""
    lease_duration: int = 0
    renewable: bool = False
    mfa_requirement: Object | None = None

    def to_json(self) -> Record:
        return Record(
            client_token=self.client_token,
            accessor=self.accessor,
            policies=self.policies,
            token_policies=self.token_policies,
            identity_policies=self.identity_policies,
            metadata=self.metadata,
            orphan=self.orphan,
            entity_id=self.entity_id,
            lease_duration=self.lease_duration,
            renewable=self.renewable,
            mfa_requirement=self.mfa_requirement,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WrapInfo:
    """The token that stands for a wrapped answer. TTL in s."""

    token: str = ""
    accessor: str = ""
    ttl: int = 0
    creation_time: str = ""
    creation_path: str = ""
    wrapped_accessor: str = ""

    def to_json(self) -> Record:
        return Record(
            token=self.token,
            accessor=self.accessor,
            ttl=self.ttl,
            creation_time=self.creation_time,
            creation_path=self.creation_path,
            wrapped_accessor=self.wrapped_accessor,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """One answer of the API. `data` is None where the server sent none."""

    request_id: str = ""
    lease_id: str = ""
    lease_duration: int = 0
    renewable: bool = False
    data: Object | None = None
    warnings: tuple[str, ...] | None = None
    auth: Auth | None = None
    wrap_info: WrapInfo | None = None
    mount_type: str = ""

    def to_json(self) -> Record:
        out = Record(
            request_id=self.request_id,
            lease_id=self.lease_id,
            lease_duration=self.lease_duration,
            renewable=self.renewable,
            data=self.data,
            warnings=self.warnings,
        )
        if self.auth is not None:
            out["auth"] = self.auth.to_json()
        if self.wrap_info is not None:
            out["wrap_info"] = self.wrap_info.to_json()
        if self.mount_type:
            out["mount_type"] = self.mount_type
        return out

    def keys(self) -> list[Json] | None:
        """The names of a LIST answer; None: this is not one."""
        keys = (self.data or {}).get("keys")
        return list(keys) if isinstance(keys, list) else None

    def __getitem__(self, name: str) -> Json:
        return (self.data or {}).get(name)

    def is_empty(self) -> bool:
        """Whether it says nothing at all: what the server sent has another shape."""
        return self == Secret()


def parse_secret(body: bytes) -> Secret | None:
    """A body as a secret; None for an empty one, and for one that has nothing but errors. Raises ExchangeError.

    An answer without the envelope (`sys/health`) becomes a secret whose data is the whole answer.
    """
    if not body.strip():
        return None
    value = parse(body)
    if not isinstance(value, dict):
        raise ExchangeError("the answer is not a JSON object")
    secret = _secret(value)
    if not secret.is_empty():
        return secret
    if "errors" in value:
        if len(value) == 1:
            return None
        raise ExchangeError(" ".join(strings(value["errors"]) or ()))
    return Secret(data=value) if value else secret


def _secret(value: Object) -> Secret:
    return Secret(
        request_id=text(value.get("request_id")),
        lease_id=text(value.get("lease_id")),
        lease_duration=number(value.get("lease_duration")),
        renewable=value.get("renewable") is True,
        data=mapping(value.get("data")),
        warnings=strings(value.get("warnings")),
        auth=_auth(mapping(value.get("auth"))),
        wrap_info=_wrap_info(mapping(value.get("wrap_info"))),
        mount_type=text(value.get("mount_type")),
    )


def _auth(value: Object | None) -> Auth | None:
    if value is None:
        return None
    metadata = mapping(value.get("metadata"))
    return Auth(
        client_token=text(value.get("client_token")),
        accessor=text(value.get("accessor")),
        policies=strings(value.get("policies")),
        token_policies=strings(value.get("token_policies")),
        identity_policies=strings(value.get("identity_policies")),
        metadata=None if metadata is None else {key: text(item) for key, item in metadata.items()},
        orphan=value.get("orphan") is True,
        entity_id=text(value.get("entity_id")),
        lease_duration=number(value.get("lease_duration")),
        renewable=value.get("renewable") is True,
        mfa_requirement=mapping(value.get("mfa_requirement")),
    )


def _wrap_info(value: Object | None) -> WrapInfo | None:
    if value is None:
        return None
    return WrapInfo(
        token=text(value.get("token")),
        accessor=text(value.get("accessor")),
        ttl=number(value.get("ttl")),
        creation_time=text(value.get("creation_time")),
        creation_path=text(value.get("creation_path")),
        wrapped_accessor=text(value.get("wrapped_accessor")),
    )


def text(value: Json) -> str:
    return value if isinstance(value, str) else ""


def number(value: Json) -> int:
    """A whole number; 0 for anything else."""
    if isinstance(value, Number):
        try:
            return int(value.text)
        except ValueError:
            return 0
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def mapping(value: Json) -> Object | None:
    return value if isinstance(value, dict) else None


def strings(value: Json) -> tuple[str, ...] | None:
    """A list of strings, other items left out; None: no list."""
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, (list, tuple)) else None
