"""The table of KV version 2, and what it says to who takes it for version 1."""
from typing import Annotated

from holdfast.engine import Context, Engine, Input, Method, Nothing, Response, Route, Txn, doc, on
from holdfast.secrets.kv_v2 import config, data, lifecycle, metadata, store
from holdfast.secrets.paths import AtPath

ROOTS = ("metadata", "data", "delete", "undelete", "destroy", "subkeys")
COMMANDS = {Method.GET: "get", Method.LIST: "list", Method.POST: "put", Method.PATCH: "patch", Method.DELETE: "delete"}


class Elsewhere(Input, frozen=True):
    path: Annotated[str, doc("A path that is none of this engine's.")] = ""


class Root(Elsewhere, frozen=True):
    path: Annotated[str, doc("The folder of all secrets: it can only be listed.")] = "metadata"


def refuse(txn: Txn, args: Elsewhere, ctx: Context) -> Response:
    """Not a path of a versioned key-value engine."""
    if args.path in ROOTS:
        warning = "Non-listing operations on the root of a K/V v2 mount are not supported."
    else:
        # The command line and other clients look for this beginning: they then try the versioned path.
        warning = ("Invalid path for a versioned K/V secrets engine: a secret is at data/<path>, its versions at metadata/<path>. "
                   f"On the command line, 'kv {COMMANDS[ctx.request.method]}' adds that by itself.")
    return Response(status=404, warnings=(warning,))


KV_V2 = Engine(type="kv", version="2", jobs={store.DISCARD: store.discard_some}, routes=(
    Route("config", "Settings that hold for every secret of the mount.", {
        Method.GET: on(Nothing, config.read),
        Method.POST: on(config.Write, config.write, nulls=True),
    }),
    Route("data/*path", "The versions of a secret. A write adds one, a read shows the latest or the one asked for, deleting hides the "
          "latest and can be undone.", {
              Method.GET: on(data.Read, data.read),
              Method.POST: on(data.Write, data.write, exists=data.exists, nulls=True, writes=True),
              Method.PATCH: on(data.Write, data.patch, exists=data.exists, nulls=True, writes=True),
              Method.DELETE: on(data.AtPath, data.delete_latest, writes=True),
          }),
    Route("subkeys/*path", "The names in a secret, at all levels, with null for their values.", {
        Method.GET: on(data.ReadSubkeys, data.read_subkeys),
    }),
    Route("delete/*path", "Hides versions of a secret until they are undeleted.", {
        Method.POST: on(lifecycle.Versions, lifecycle.delete, writes=True),
    }),
    Route("undelete/*path", "Brings hidden versions of a secret back.", {
        Method.POST: on(lifecycle.Versions, lifecycle.undelete, writes=True),
    }),
    Route("destroy/*path", "Removes the values of versions for good; that they existed stays known.", {
        Method.POST: on(lifecycle.Versions, lifecycle.destroy, writes=True),
    }),
    Route("metadata", "All secrets and folders at the top of the mount.", {
        Method.LIST: on(metadata.ListFolder, metadata.list_keys),
        **{method: on(Root, refuse, any_body=True) for method in COMMANDS if method is not Method.LIST},
    }),
    Route("metadata/*path", "What is known of a secret besides its values: its versions, its settings, metadata of your own. Deleting this "
          "removes the secret with all its versions.", {
              Method.GET: on(AtPath, metadata.read),
              Method.LIST: on(metadata.ListFolder, metadata.list_keys),
              Method.POST: on(metadata.Write, metadata.write, exists=data.exists, nulls=True, writes=True),
              Method.PATCH: on(metadata.Write, metadata.patch, exists=data.exists, nulls=True, writes=True),
              Method.DELETE: on(AtPath, metadata.delete, writes=True),
          }),
    Route("*path", "Every other path: refused, with a word on where secrets are.", {
        method: on(Elsewhere, refuse, any_body=True) for method in COMMANDS}),
))
