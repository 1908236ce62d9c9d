"""`config`: what holds for every secret of the mount."""
from typing import Annotated

import msgspec
from msgspec.structs import replace

from holdfast.engine import Context, Duration, Input, Natural, Nothing, Output, Response, Txn, doc, signed_seconds
from holdfast.engine.time import go_duration
from holdfast.errors import BadRequest
from holdfast.limits import KV_VERSIONS_MAX
from holdfast.secrets.kv_v2.store import CONFIG
from holdfast.secrets.kv_v2.versions import Config


class Write(Input, frozen=True):
    """As in Vault, a null stands for the default; but a time that is null is as if not sent."""

    max_versions: Annotated[Natural | msgspec.UnsetType | None, doc("Versions to keep of each secret; 0: ten.")] = msgspec.UNSET
    cas_required: Annotated[bool | msgspec.UnsetType | None, doc("Whether each write must name the current version.")] = msgspec.UNSET
    delete_version_after: Annotated[Duration, doc("Time after which a version is deleted; 0: none; negative: never, whatever a secret's "
                                                  "metadata say.")] = None


class ConfigOut(Output, frozen=True):
    cas_required: bool
    delete_version_after: str
    max_versions: int


def read(txn: Txn, args: Nothing, ctx: Context) -> Response:
    """Read the mount's settings."""
    config = CONFIG.get(txn) or Config()
    return Response(data=ConfigOut(cas_required=config.cas_required, delete_version_after=go_duration(config.delete_after_s),
                                   max_versions=config.max_versions))


def write(txn: Txn, args: Write, ctx: Context) -> Response:
    """Change the mount's settings; what is not sent stays."""
    old = CONFIG.get(txn) or Config()
    new = replace(
        old, max_versions=old.max_versions if args.max_versions is msgspec.UNSET else checked_max(args.max_versions or 0),
        cas_required=old.cas_required if args.cas_required is msgspec.UNSET else bool(args.cas_required),
        delete_after_s=old.delete_after_s if args.delete_version_after is None else signed_seconds(
            args.delete_version_after, "delete_version_after"))
    if new != old:
        CONFIG.put(txn, "", new)
    return Response()


def checked_max(count: int) -> int:
    """Raises BadRequest: more versions than one secret can have."""
    if count > KV_VERSIONS_MAX:
        raise BadRequest(f"max_versions: at most {KV_VERSIONS_MAX} versions can be kept")
    return count
