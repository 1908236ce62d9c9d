"""Paths of secrets: any text, as in Vault; what ends in "/" is a folder and holds nothing itself."""
from typing import Annotated

from holdfast.engine import Context, Input, doc
from holdfast.errors import BadRequest
from holdfast.limits import SECRET_PATH_MAX_BYTES


class AtPath(Input, frozen=True):
    path: Annotated[str, doc("Path of the secret.")]


def check_writable(path: str, ctx: Context) -> None:
    """Raises BadRequest: no path, a folder's, or one that is too long."""
    if ctx.request.path.endswith("/"):
        raise BadRequest("cannot write to a path ending in '/'")
    if not path:
        raise BadRequest("missing path")
    if len(path) > SECRET_PATH_MAX_BYTES // 4 and len(path.encode()) > SECRET_PATH_MAX_BYTES:
        raise BadRequest(f"a path is at most {SECRET_PATH_MAX_BYTES} bytes long")


def can_exist(path: str) -> bool:
    """False: nothing can have been written there, so there is nothing to look up."""
    return len(path) <= SECRET_PATH_MAX_BYTES // 4 or len(path.encode()) <= SECRET_PATH_MAX_BYTES


def folder(path: str) -> str:
    """As it is listed: with a slash at its end; "" for all."""
    return path if not path or path.endswith("/") else path + "/"
