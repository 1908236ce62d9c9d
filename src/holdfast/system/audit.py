"""sys/audit, sys/audit-hash: the audit devices. Source: Vault API, the pages of these names.

Enabling is a call to the outside first: the active node opens the device and writes a line, and only then is it written down.
"""
from collections.abc import Mapping
from typing import Annotated

import msgspec

from holdfast.core.access import Access
from holdfast.core.audit_device import DEVICES, find, hash_input, load_devices, new_device
from holdfast.engine import Context, Input, Method, Name, Nothing, Output, Response, Route, Txn, doc, on
from holdfast.errors import BadRequest
from holdfast.limits import AUDIT_PROBE_MS


class DeviceInput(Input, frozen=True):
    path: Annotated[Name, doc("Where the device is to be known.")]


class EnableInput(DeviceInput, frozen=True):
    type: Annotated[str, doc("Type of the device: `file`.")] = ""
    description: Annotated[str, doc("For people.")] = ""
    options: Annotated[dict[str, str] | None, doc("Options of the type.")] = None
    local: Annotated[bool, doc("Kept for replication between clusters; no effect here.")] = False


class HashInput(DeviceInput, frozen=True):
    input: Annotated[str, doc("The text to hash.")] = ""


class DeviceOut(Output, frozen=True):
    type: str
    description: str
    options: Mapping[str, str]
    local: bool
    path: str


class HashOut(Output, frozen=True):
    hash: str


def list_devices(txn: Txn, args: Nothing, ctx: Context) -> Response:
    """List the audit devices."""
    records = [device.record for device in txn.derive(load_devices)]
    return Response(data={r.path: DeviceOut(type=r.type, description=r.description, options=r.options, local=r.local, path=r.path)
                          for r in records})


def disable(txn: Txn, args: DeviceInput, ctx: Context) -> Response:
    """Disable an audit device; what it wrote stays."""
    device = find(txn, args.path)
    if device is not None:
        DEVICES.delete(txn, device.record.uuid)
    return Response()


def show_hash(txn: Txn, args: HashInput, ctx: Context) -> Response:
    """Show what a text looks like in a device's entries."""
    return Response(data=HashOut(hash=hash_input(txn, args.path, args.input)))


def routes(access: Access) -> tuple[Route, ...]:
    """`access.try_device` opens a device as its options say and writes a line to it."""

    def enable(txn: Txn, args: EnableInput, ctx: Context) -> Response:
        """Enable an audit device: from now on every request is written to it."""
        options = args.options or {}
        record = new_device(txn, path=args.path, type_=args.type, description=args.description, options=options, local=args.local,
                            uuid=ctx.rng.uuid(), draw=ctx.rng.bytes)
        # Nothing that depends on the time may be an argument: the call's result is found again by them, at another time.
        wrong = ctx.outside(access.try_device, msgspec.json.encode(options).decode(), ctx.request.id, within_ms=AUDIT_PROBE_MS)
        if wrong:
            raise BadRequest(wrong)
        DEVICES.put(txn, record.uuid, record)
        return Response()

    return (
        Route("audit", "The audit devices.", {Method.GET: on(Nothing, list_devices, sudo=True, top_level=True)}),
        Route("audit/*path", "One audit device.", {
            Method.POST: on(EnableInput, enable, sudo=True), Method.DELETE: on(DeviceInput, disable, sudo=True),
        }),
        Route("audit-hash/*path", "What a text looks like in a device's entries.", {Method.POST: on(HashInput, show_hash, top_level=True)}),
    )
