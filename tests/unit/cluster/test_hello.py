"""What two nodes check in each other before they talk."""
from typing import Any

import msgspec
import pytest

from holdfast.cluster.hello import Hello, HelloRefused, agree, clock_difference_ms, decode_hello, encode_hello
from holdfast.ids import Millis, NodeId


def hello(node: str = "a", *, incarnation: int = 1, cluster: str = "c1", **rest: Any) -> Hello:
    return Hello(node=NodeId(node), incarnation=incarnation, cluster=cluster, **rest)


def test_nodes_of_one_cluster_agree_and_one_that_joins_knows_no_cluster_yet() -> None:
    assert agree(hello(), hello("b")) == 1
    assert agree(hello(), hello("b", cluster="")) == 1
    assert agree(hello(cluster=""), hello("b")) == 1


def test_the_newest_version_that_both_know_is_taken() -> None:
    assert agree(hello(frames_min=1, frames_max=3), hello("b", frames_min=2, frames_max=5)) == 3
    assert agree(hello(frames_min=1, frames_max=2), hello("b")) == 1


@pytest.mark.parametrize(("own", "other", "why"), [
    (hello(), hello("b", cluster="c2"), "node b belongs to cluster c2, node a to cluster c1"),
    (hello(), hello(), "node a was told to connect to itself: check the addresses in its configuration"),
    (hello(), hello(incarnation=2), "two nodes have the id a: give one of them another node_id"),
    (hello(), hello("b", frames_min=2, frames_max=3), "no version of frames in common: node b knows 2 to 3, node a knows 1 to 1"),
])
def test_what_does_not_fit_is_refused_with_a_reason(own: Hello, other: Hello, why: str) -> None:
    with pytest.raises(HelloRefused) as raised:
        agree(own, other)
    assert str(raised.value) == why


@pytest.mark.parametrize("body", [
    b"",
    b"\xc1",
    b"\x81\xa1z" + b"\x91" * 4_000,
    b"\x81\xa4node\xa1\xff",
    msgspec.msgpack.encode([1, 2]),
    msgspec.msgpack.encode({"node": "a"}),
    msgspec.msgpack.encode({"node": 1, "incarnation": 1, "cluster": ""}),
    encode_hello(hello("")),
    encode_hello(hello("x" * 257)),
    encode_hello(hello(cluster="x" * 257)),
])
def test_a_malformed_hello_is_refused(body: bytes) -> None:
    with pytest.raises(HelloRefused):
        decode_hello(body)


def test_clocks_that_differ_much_are_told() -> None:
    a = hello(wall_ms=Millis(1_000_000))
    assert clock_difference_ms(a, hello("b", wall_ms=Millis(1_004_999))) == 0
    assert clock_difference_ms(a, hello("b", wall_ms=Millis(1_006_000))) == 6_000
    assert clock_difference_ms(a, hello("b", wall_ms=Millis(990_000))) == -10_000
    assert clock_difference_ms(a, hello("b")) == 0
