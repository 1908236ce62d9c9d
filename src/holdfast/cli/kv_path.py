"""Where a key of a KV engine is: asked of the server, as a path alone tells neither the mount nor the version.

1. The question is asked before every KV command, never wrapped, and also under -output-curl-string.
"""
from __future__ import annotations

from dataclasses import dataclass

from holdfast.cli.client import Client
from holdfast.cli.command import Session
from holdfast.cli.errors import API, ApiError, ExchangeError, Failure
from holdfast.cli.flags import Flag, Kind
from holdfast.cli.paths import join, sanitize
from holdfast.cli.secret import mapping, parse_secret, text

MOUNT_FLAG = Flag(
    name="mount",
    kind=Kind.STRING,
    text="Path that the KV engine is mounted at; the argument is then the key alone. Without it the argument is mount and key in one.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """A key. `path` is mount and key in one for version 2, and the path of the API itself for version 1."""

    mount: str
    path: str
    is_v2: bool

    def api_path(self, kind: str) -> str:
        """Where the API has the key's `data`, `metadata`, … (version 2), or the key itself (version 1)."""
        return with_kind(self.path, self.mount, kind) if self.is_v2 else self.path


def locate(session: Session, client: Client, argument: str) -> Location:
    """Finds mount and version. Raises Failure."""
    mount_flag = sanitize(session.flags.string("mount"))
    key = sanitize(argument)
    mount, is_v2 = _ask(client, mount_flag or key)
    path = key
    if mount_flag:
        path = join(mount, key) if is_v2 or mount else join(mount_flag, key)
    return Location(mount=mount, path=path, is_v2=is_v2)


def locate_v2(session: Session, client: Client, argument: str, *, refusal: str, code: int) -> Location:
    """As `locate`, for what only version 2 can do."""
    location = locate(session, client, argument)
    if not location.is_v2:
        raise Failure(refusal, code)
    return location


def _ask(client: Client, path: str) -> tuple[str, bool]:
    """Mount and whether it is of version 2; a server that does not know the question has version 1."""
    shows = client.shows_request()
    try:
        secret = parse_secret(client.using(wrap_ttl="", show=False).exchange("GET", f"sys/internal/ui/mounts/{path}").body)
    except ApiError as error:
        if error.status == 404:
            return "", False
        if shows and error.status == 403:
            needs = f"the token in use needs read access to {path} to learn it"
            raise Failure(f"The request depends on the version of the KV engine: {needs}.", API) from error
        raise Failure(str(error), API) from error
    except ExchangeError as error:
        raise Failure(str(error), API) from error
    if secret is None:
        raise Failure("nil response from pre-flight request", API)
    version = text((mapping(secret["options"]) or {}).get("version"))
    return text(secret["path"]), version == "2"


def with_kind(path: str, mount: str, kind: str) -> str:
    """`mount/kind/key` from `mount/key`. The mount may begin with namespaces that the path leaves out."""
    if path in (mount, mount.removesuffix("/")):
        return join(mount, kind)
    key = path.removeprefix(mount)
    while key == path:
        _, slash, rest = mount.partition("/")
        if not slash or not rest:
            break
        mount = rest.removesuffix("/")
        key = key.removeprefix(mount)
    return join(mount, kind, key)
