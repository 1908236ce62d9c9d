"""Audit entries of several requests, written with one write a device.

Invariants: (1) a request's answer comes out of `settle` only when its lines have been written, or as the refusal where no device took them;
(2) lines are written in the order in which they were added. Left to others: files, and how they fail (`node/devices`).
"""
from collections.abc import Callable, Sequence
from typing import TypeAlias

from holdfast.core import envelope
from holdfast.core.audit_device import Device
from holdfast.core.outcome import AuditEntry
from holdfast.engine import Reply
from holdfast.errors import AuditError
from holdfast.node.attempts import Devices

Settle: TypeAlias = Callable[[Reply], Reply]
"""What is to leave in a reply's place: itself, once what belongs to it is written."""


class AuditBatch:
    """What was added since the last write. The first `settle` of a batch writes it."""

    def __init__(self, devices: Devices) -> None:
        self._devices = devices
        self._open = _Lines(devices, [])

    def add(self, lines: Sequence[tuple[Device, bytes]]) -> Settle:
        """Lines of one request, each for its device."""
        batch = self._batch_of([device for device, _ in lines])
        for kept, (_, line) in zip(batch.lines, lines, strict=True):
            kept.append(line)
        return batch.settle

    def add_both(self, entries: Sequence[AuditEntry]) -> Settle:
        """The lines of a request and of its response, for each device."""
        batch = self._batch_of([entry.device for entry in entries])
        for kept, entry in zip(batch.lines, entries, strict=True):
            kept.append(entry.request)
            kept.append(entry.response)
        return batch.settle

    def _batch_of(self, devices: list[Device]) -> "_Lines":
        batch = self._open
        if not batch.is_written:
            if batch.of == devices:
                return batch
            batch.write()                            # the device table has changed: each batch is one for the same devices
        self._open = _Lines(self._devices, devices)
        return self._open


class _Lines:
    """Lines of the requests that go to the same devices: they are taken, or refused, together."""

    def __init__(self, devices: Devices, of: list[Device]) -> None:
        self._devices, self.of = devices, of
        self.lines: tuple[list[bytes], ...] = tuple([[] for _ in of])
        self.is_written = not of
        self._refusal: Reply | None = None

    def settle(self, reply: Reply) -> Reply:
        if not self.is_written:
            self.write()
        return reply if self._refusal is None else self._refusal

    def write(self) -> None:
        self.is_written = True
        try:
            self._devices.write([(device, b"".join(lines)) for device, lines in zip(self.of, self.lines, strict=True)])
        except AuditError as error:
            self._refusal = envelope.failed(error)
