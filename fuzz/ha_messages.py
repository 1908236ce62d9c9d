"""Fuzz target: what another node says, as one frame's kind and body: `python -m fuzz.ha_messages`.

Whatever the bytes: a message that can be written again and comes back the same, or IntegrityError; and the active node's machine, and a
standby's, take what was said without falling over.
"""
import sys

import atheris

with atheris.instrument_imports():
    from holdfast.errors import IntegrityError
    from holdfast.ha import event as saw
    from holdfast.ha.event import Channel
    from holdfast.ha.machine import Machine
    from holdfast.ha.message import Message, Peer, decode, encode
    from holdfast.ha.settings import Settings
    from holdfast.ids import Index, Millis, NodeId, Term
    from holdfast.storage import Fence

NOW, PEER = Millis(1_000), Peer(NodeId("b"), 1)


def check(data: bytes) -> None:
    """One input: a byte for the kind, the rest is the body."""
    if not data:
        return
    try:
        message = decode(data[0], data[1:])
    except IntegrityError:
        return
    assert decode(*encode(message)) == message
    for is_active in (True, False):
        hear(message, is_active=is_active)


def hear(message: Message, *, is_active: bool) -> None:
    machine = Machine(Settings(node=NodeId("a"), incarnation=1))
    machine.step(saw.Unsealed(applied=Index(1)), NOW)
    if is_active:
        fence = Fence(term=Term(1), holder=NodeId("a"))
        machine.step(saw.FenceHeld(fence=fence, index=Index(1), hold_until_boot_ms=Millis(2_000)), NOW)
    for channel in Channel:
        machine.step(saw.Received(peer=PEER, channel=channel, message=message), NOW)
    machine.tick(Millis(5_000))
    machine.take_effects()


def main() -> None:
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
