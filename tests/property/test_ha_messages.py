"""Whatever another node says: a message or a reason, and a machine that goes on."""
import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.ha.frames import EXAMPLES
from tests.unit.ha.machines import FORWARDING, PERFORMANCE, A, Node, peer

from holdfast.errors import IntegrityError
from holdfast.ha import event as saw
from holdfast.ha.message import Kind, Message, decode, encode

BODIES = [(Kind(kind), msgspec.msgpack.decode(body)) for kind, body in map(encode, EXAMPLES)]
ODD = st.one_of(st.none(), st.booleans(), st.integers(-(1 << 63), (1 << 64) - 1), st.binary(max_size=8), st.text(max_size=8),
                st.lists(st.integers(-9, 9), max_size=2), st.dictionaries(st.text(max_size=3), st.integers(0, 9), max_size=2))


def hear(message: Message) -> None:
    for node in (Node().unseal().lead(), Node().unseal().perform(), Node().unseal()):
        for channel in (FORWARDING, PERFORMANCE):
            node.step(saw.Received(peer=peer(A), channel=channel, message=message))
        node.wait(300)


@settings(max_examples=200)
@given(st.integers(0, 40), st.binary(max_size=300))
def test_bytes_are_a_message_or_refused(kind: int, body: bytes) -> None:
    try:
        message = decode(kind, body)
    except IntegrityError:
        return
    hear(message)


@settings(max_examples=200)
@given(st.sampled_from(BODIES), st.data())
def test_a_message_with_one_odd_field_is_taken_or_refused(example: tuple[Kind, dict[str, object]], data: st.DataObject) -> None:
    kind, fields = example
    name = data.draw(st.sampled_from(sorted(fields)))
    try:
        message = decode(kind, msgspec.msgpack.encode({**fields, name: data.draw(ODD)}))
    except IntegrityError:
        return
    assert decode(*encode(message)) == message
    hear(message)
