"""sys/key-status, sys/rotate, sys/rotate/config: the barrier's keys. Source: Vault API, the pages of these names."""
from typing import Annotated

from msgspec.structs import replace

from holdfast.core import keys
from holdfast.engine import Context, Duration, Input, Method, Natural, Nothing, Output, Response, Route, Txn, doc, on, seconds
from holdfast.engine.time import rfc3339
from holdfast.errors import BadRequest
from holdfast.limits import KEY_ENCRYPTIONS_CEILING, KEY_ENCRYPTIONS_MAX_LEAST, KEY_INTERVAL_LEAST_MS


class RotationInput(Input, frozen=True):
    enabled: Annotated[bool | None, doc("Whether keys rotate by themselves.")] = None
    max_operations: Annotated[Natural, doc("Values encrypted under one key before the next; 0: as it is.")] = 0
    interval: Annotated[Duration, doc("Age at which a key is followed by the next; 0: never by age.")] = None


class KeyStatus(Output, frozen=True):
    term: int
    install_time: str
    encryptions: int


class RotationConfig(Output, frozen=True):
    enabled: bool
    max_operations: int
    interval: int


def key_status(txn: Txn, args: Nothing, ctx: Context) -> Response:
    """Show the active key of the barrier."""
    keyring = keys.keyring(txn)
    return Response(data=KeyStatus(term=keyring.active_term, install_time=rfc3339(keyring.active.installed_ms),
                                   encryptions=keys.encryptions(txn)))


def rotate(txn: Txn, args: Nothing, ctx: Context) -> Response:
    """Make a new key for what is written from now on."""
    keys.begin_term(txn, ctx.rng, ctx.now_ms)
    return Response()


def read_config(txn: Txn, args: Nothing, ctx: Context) -> Response:
    """Show when keys rotate by themselves."""
    rotation = keys.keyring(txn).rotation
    return Response(data=RotationConfig(enabled=rotation.enabled, max_operations=rotation.encryptions_max,
                                        interval=rotation.interval_ms // 1000))


def write_config(txn: Txn, args: RotationInput, ctx: Context) -> Response:
    """Set when keys rotate by themselves."""
    rotation = keys.keyring(txn).rotation
    if args.enabled is not None:
        rotation = replace(rotation, enabled=args.enabled)
    if args.max_operations:
        if not KEY_ENCRYPTIONS_MAX_LEAST <= args.max_operations <= KEY_ENCRYPTIONS_CEILING:
            raise BadRequest(f"max_operations must be in the range [{KEY_ENCRYPTIONS_MAX_LEAST}, {KEY_ENCRYPTIONS_CEILING}]")
        rotation = replace(rotation, encryptions_max=args.max_operations)
    if args.interval is not None:
        interval_ms = seconds(args.interval, "interval") * 1000
        if 0 < interval_ms < KEY_INTERVAL_LEAST_MS:
            raise BadRequest(f"interval must be 0 or at least {KEY_INTERVAL_LEAST_MS // 3_600_000}h")
        rotation = replace(rotation, interval_ms=interval_ms)
    keys.configure(txn, rotation, ctx.rng)
    return Response()


ROUTES = (
    Route("key-status", "The active key of the barrier.", {Method.GET: on(Nothing, key_status, top_level=True)}),
    Route("rotate", "A new key for the barrier.", {Method.POST: on(Nothing, rotate, sudo=True)}),
    Route("rotate/config", "When keys rotate by themselves.", {
        Method.GET: on(Nothing, read_config), Method.POST: on(RotationInput, write_config),
    }),
)
