"""One field of a secret, by the name that it has in the table."""
from __future__ import annotations

from holdfast.cli.json_text import Json
from holdfast.cli.secret import Auth, Secret, WrapInfo


def field_of(secret: Secret, field: str) -> Json:
    """One field by the name it has in the table; None: not there."""
    value: Json = None
    if secret.auth is not None:
        value = _auth_field(secret.auth, field)
    elif secret.wrap_info is not None:
        value = _wrap_field(secret.wrap_info, field)
    else:
        match field:
            case "lease_duration" | "refresh_interval":
                return secret.lease_duration
            case "lease_id":
                return secret.lease_id
            case "request_id":
                return secret.request_id
            case "renewable":
                return secret.renewable
            case "data":
                return (secret.data or {}).get("data", secret.data)
    return secret[field] if value is None else value


def _auth_field(auth: Auth, field: str) -> Json:
    match field:
        case "token":
            return auth.client_token
        case "token_accessor":
            return auth.accessor
        case "token_duration":
            return auth.lease_duration
        case "token_renewable":
            return auth.renewable
        case "token_policies":
            return auth.token_policies or ()
        case "identity_policies":
            return auth.identity_policies or ()
        case "policies":
            return auth.policies or ()
    return None


def _wrap_field(info: WrapInfo, field: str) -> Json:
    match field:
        case "wrapping_token":
            return info.token
        case "wrapping_accessor":
            return info.accessor
        case "wrapping_token_ttl":
            return info.ttl
        case "wrapping_token_creation_time":
            return info.creation_time
        case "wrapping_token_creation_path":
            return info.creation_path
        case "wrapped_accessor":
            return info.wrapped_accessor
    return None
