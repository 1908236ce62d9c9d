"""What the API takes and shows of mounts, secrets engines and auth methods alike. Source: Vault API, "/sys/mounts" and "/sys/auth"."""
from collections.abc import Mapping
from typing import Annotated, TypeAlias

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from holdfast.core.mounts import RUNNING_VERSION, MountConfig, MountEntry, UserLockout
from holdfast.engine import Duration, Input, Output, Strings, TokenType, doc, seconds, strings
from holdfast.errors import BadRequest
from holdfast.limits import INTEGER_MAX, MOUNT_TEXT_MAX

Options: TypeAlias = dict[str, str] | None
"""Settings by name."""

LISTING_VISIBILITIES = frozenset({"", "hidden", "unauth"})
TOKEN_TYPES: Mapping[str, TokenType] = {
    "": TokenType.DEFAULT_SERVICE, "default-service": TokenType.DEFAULT_SERVICE, "default-batch": TokenType.DEFAULT_BATCH,
    "service": TokenType.SERVICE, "batch": TokenType.BATCH}
UNSUPPORTED_STATUS = frozenset({"cubbyhole", "identity", "system", "token"})
"""Types that stand in no catalog, so that nothing is said of their deprecation."""

TTL = doc("Lease time where a secret or a role says none; \"system\": the system's.")
MAX_TTL = doc("The longest lease time; \"system\": the system's.")
REQUEST_KEYS = doc("Fields of requests that audit entries show as they are.")
RESPONSE_KEYS = doc("Fields of responses that audit entries show as they are.")
VISIBILITY = doc("Whether user interfaces see it without a token: \"unauth\" or \"hidden\".")
PASSED = doc("Headers of requests that the engine may read.")
ALLOWED = doc("Headers of responses that the engine may set.")
MANAGED_KEYS = doc("Kept and shown; there are no managed keys.")
DELEGATED = doc("Accessors of auth methods that the engine may log in to; kept and shown, no engine does.")
TOKEN_TYPE = doc("Kind of the tokens of logins; of auth methods alone.")
LOCKOUT = doc("How failed logins lock an alias; of auth methods alone.")


class LockoutInput(Input, frozen=True):
    lockout_threshold: int | str | None = None
    lockout_duration: Duration = None
    lockout_counter_reset_duration: Duration = None
    lockout_disable: bool | None = None


class ConfigInput(Input, frozen=True):
    """The `config` of enabling, and of tuning the whole input but for three fields. None: not sent."""

    default_lease_ttl: Annotated[Duration, TTL] = None
    max_lease_ttl: Annotated[Duration, MAX_TTL] = None
    force_no_cache: Annotated[bool | None, doc("Kept for old clients.")] = None
    audit_non_hmac_request_keys: Annotated[Strings, REQUEST_KEYS] = None
    audit_non_hmac_response_keys: Annotated[Strings, RESPONSE_KEYS] = None
    listing_visibility: Annotated[str | None, VISIBILITY] = None
    passthrough_request_headers: Annotated[Strings, PASSED] = None
    allowed_response_headers: Annotated[Strings, ALLOWED] = None
    allowed_managed_keys: Annotated[Strings, MANAGED_KEYS] = None
    delegated_auth_accessors: Annotated[Strings, DELEGATED] = None
    token_type: Annotated[str | None, TOKEN_TYPE] = None
    user_lockout_config: Annotated[LockoutInput | None, LOCKOUT] = None
    plugin_name: Annotated[str | None, doc("The engine's name, where the type is \"plugin\".")] = None
    plugin_version: Annotated[str | None, doc("Version of the engine; there is one.")] = None


class EnableInput(Input, frozen=True):
    path: Annotated[str, doc("Where to mount it.")]
    type: Annotated[str, doc("Type of the engine, such as \"kv\" or \"userpass\".")] = ""
    description: Annotated[str, doc("For people.")] = ""
    config: Annotated[ConfigInput | None, doc("Settings that tuning can change later.")] = None
    options: Annotated[Options, doc("Settings of the engine, such as the version of a kv store.")] = None
    local: Annotated[bool, doc("Kept and shown; without replication between clusters it changes nothing.")] = False
    seal_wrap: Annotated[bool, doc("Kept and shown; it changes nothing.")] = False
    external_entropy_access: Annotated[bool, doc("Of Vault Enterprise; without effect.")] = False
    plugin_name: Annotated[str, doc("The engine's name, where the type is \"plugin\".")] = ""


class TuneInput(ConfigInput, frozen=True, kw_only=True):
    path: Annotated[str, doc("Where it is mounted.")]
    description: Annotated[str | None, doc("For people.")] = None
    options: Annotated[Options, doc("Settings of the engine; an empty one is taken away.")] = None


class MountPath(Input, frozen=True):
    path: Annotated[str, doc("Where it is mounted.")]


class LockoutOut(Output, frozen=True):
    user_lockout_counter_reset_duration: int
    user_lockout_threshold: int
    user_lockout_duration: int
    user_lockout_disable: bool


class ConfigOut(Output, frozen=True):
    default_lease_ttl: int
    max_lease_ttl: int
    force_no_cache: bool
    audit_non_hmac_request_keys: tuple[str, ...] | UnsetType = UNSET
    audit_non_hmac_response_keys: tuple[str, ...] | UnsetType = UNSET
    listing_visibility: str | UnsetType = UNSET
    passthrough_request_headers: tuple[str, ...] | UnsetType = UNSET
    allowed_response_headers: tuple[str, ...] | UnsetType = UNSET
    allowed_managed_keys: tuple[str, ...] | UnsetType = UNSET
    delegated_auth_accessors: tuple[str, ...] | UnsetType = UNSET
    token_type: str | UnsetType = UNSET
    user_lockout_config: LockoutOut | UnsetType = UNSET


class MountOut(Output, frozen=True):
    type: str
    description: str
    accessor: str
    local: bool
    seal_wrap: bool
    external_entropy_access: bool
    options: Mapping[str, str] | None
    uuid: str
    plugin_version: str
    running_plugin_version: str
    running_sha256: str
    deprecation_status: str | UnsetType
    config: ConfigOut
    path: str | UnsetType = UNSET


class TuneOut(Output, frozen=True):
    description: str
    default_lease_ttl: int
    max_lease_ttl: int
    force_no_cache: bool
    token_type: str | UnsetType
    audit_non_hmac_request_keys: tuple[str, ...] | UnsetType
    audit_non_hmac_response_keys: tuple[str, ...] | UnsetType
    listing_visibility: str | UnsetType
    passthrough_request_headers: tuple[str, ...] | UnsetType
    allowed_response_headers: tuple[str, ...] | UnsetType
    allowed_managed_keys: tuple[str, ...] | UnsetType
    delegated_auth_accessors: tuple[str, ...] | UnsetType
    user_lockout_counter_reset_duration: int | UnsetType
    user_lockout_threshold: int | UnsetType
    user_lockout_duration: int | UnsetType
    user_lockout_disable: bool | UnsetType
    options: Mapping[str, str] | UnsetType


def show(entry: MountEntry, *, path: str | UnsetType = UNSET) -> MountOut:
    """An entry as lists and single answers show it. `path`: where user interfaces are told it."""
    return MountOut(
        type=entry.type, description=entry.description, accessor=entry.accessor, local=entry.local, seal_wrap=entry.seal_wrap,
        external_entropy_access=False, options=entry.options or None, uuid=entry.uuid, plugin_version="",
        running_plugin_version=RUNNING_VERSION, running_sha256="",
        deprecation_status=UNSET if entry.type in UNSUPPORTED_STATUS else "supported", config=_show_config(entry), path=path)


def _show_config(entry: MountEntry) -> ConfigOut:
    config = entry.config
    return ConfigOut(
        default_lease_ttl=config.default_lease_ttl_s, max_lease_ttl=config.max_lease_ttl_s, force_no_cache=config.force_no_cache,
        audit_non_hmac_request_keys=config.audit_non_hmac_request_keys or UNSET,
        audit_non_hmac_response_keys=config.audit_non_hmac_response_keys or UNSET,
        listing_visibility=config.listing_visibility or UNSET, passthrough_request_headers=config.passthrough_request_headers or UNSET,
        allowed_response_headers=config.allowed_response_headers or UNSET, allowed_managed_keys=config.allowed_managed_keys or UNSET,
        delegated_auth_accessors=config.delegated_auth_accessors or UNSET,
        token_type=config.token_type.value if entry.is_auth else UNSET,
        user_lockout_config=_show_lockout(config.user_lockout) if config.user_lockout else UNSET)


def _show_lockout(lockout: UserLockout) -> LockoutOut:
    return LockoutOut(user_lockout_counter_reset_duration=lockout.counter_reset_s, user_lockout_threshold=lockout.threshold,
                      user_lockout_duration=lockout.duration_s, user_lockout_disable=lockout.disable)


def show_tuned(entry: MountEntry, *, default_ttl_s: int, max_ttl_s: int) -> TuneOut:
    """What tuning has come to; the times as they apply."""
    config, lockout = entry.config, entry.config.user_lockout
    return TuneOut(
        description=entry.description, default_lease_ttl=default_ttl_s, max_lease_ttl=max_ttl_s, force_no_cache=config.force_no_cache,
        token_type=config.token_type.value if entry.is_auth else UNSET,
        audit_non_hmac_request_keys=config.audit_non_hmac_request_keys or UNSET,
        audit_non_hmac_response_keys=config.audit_non_hmac_response_keys or UNSET,
        listing_visibility=config.listing_visibility or UNSET, passthrough_request_headers=config.passthrough_request_headers or UNSET,
        allowed_response_headers=config.allowed_response_headers or UNSET, allowed_managed_keys=config.allowed_managed_keys or UNSET,
        delegated_auth_accessors=config.delegated_auth_accessors or UNSET,
        user_lockout_counter_reset_duration=lockout.counter_reset_s if lockout else UNSET,
        user_lockout_threshold=lockout.threshold if lockout else UNSET, user_lockout_duration=lockout.duration_s if lockout else UNSET,
        user_lockout_disable=lockout.disable if lockout else UNSET, options=entry.options or UNSET)


def ttl(value: Duration, name: str, *, now_s: int) -> int:
    """A lease time in s; 0: the system's. Not sent: as it is now."""
    if value is None or value == "":
        return now_s
    return 0 if value == "system" else seconds(value, name)


def configured(config: MountConfig, given: ConfigInput) -> MountConfig:
    """The configuration with what was sent; times and token types are checked by the caller, who knows what they go with."""
    if given.listing_visibility is not None and given.listing_visibility not in LISTING_VISIBILITIES:
        raise BadRequest(f"invalid listing_visibility {given.listing_visibility[:80]}")
    return replace(
        config,
        force_no_cache=config.force_no_cache if given.force_no_cache is None else given.force_no_cache,
        audit_non_hmac_request_keys=_list(given.audit_non_hmac_request_keys, config.audit_non_hmac_request_keys),
        audit_non_hmac_response_keys=_list(given.audit_non_hmac_response_keys, config.audit_non_hmac_response_keys),
        listing_visibility=config.listing_visibility if given.listing_visibility is None else given.listing_visibility,
        passthrough_request_headers=_list(given.passthrough_request_headers, config.passthrough_request_headers),
        allowed_response_headers=_list(given.allowed_response_headers, config.allowed_response_headers),
        allowed_managed_keys=_list(given.allowed_managed_keys, config.allowed_managed_keys),
        delegated_auth_accessors=_list(given.delegated_auth_accessors, config.delegated_auth_accessors))


def _list(given: Strings, now: tuple[str, ...]) -> tuple[str, ...]:
    if given is None:
        return now
    items = strings(given)
    if sum(map(len, items)) > MOUNT_TEXT_MAX:
        raise BadRequest(f"a list of names has at most {MOUNT_TEXT_MAX} characters")
    return items


def token_type(text: str) -> TokenType:
    found = TOKEN_TYPES.get(text)
    if found is None:
        raise BadRequest("invalid value for 'token_type'")
    return found


def lockout(now: UserLockout | None, given: LockoutInput) -> UserLockout:
    """The lockout settings with what was sent; what has never been set is as the configuration says."""
    new = now or UserLockout()
    if given.lockout_threshold is not None:
        new = replace(new, threshold=_threshold(given.lockout_threshold))
    if given.lockout_duration is not None:
        new = replace(new, duration_s=ttl(given.lockout_duration, "lockout_duration", now_s=new.duration_s))
    if given.lockout_counter_reset_duration is not None:
        length_s = ttl(given.lockout_counter_reset_duration, "lockout_counter_reset_duration", now_s=new.counter_reset_s)
        new = replace(new, counter_reset_s=length_s)
    return new if given.lockout_disable is None else replace(new, disable=given.lockout_disable)


def _threshold(given: int | str) -> int:
    try:
        threshold = int(given)
    except ValueError as error:
        raise BadRequest(f"unable to parse user lockout threshold: {str(given)[:40]!r} is not a number") from error
    if not 0 <= threshold <= INTEGER_MAX:
        raise BadRequest("unable to parse user lockout threshold: it is out of range")
    return threshold


def options(given: Options) -> dict[str, str]:
    """Raises BadRequest: too long."""
    texts = given or {}
    if sum(len(name) + len(value) for name, value in texts.items()) > MOUNT_TEXT_MAX:
        raise BadRequest(f"the options of a mount have at most {MOUNT_TEXT_MAX} characters")
    return texts
