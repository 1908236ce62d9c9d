"""Who a node says it is: the first frame of each side of a link, and what both check in the other's.

The other side has already shown a certificate that only members have. What is left to find out are mistakes of operators: a node of another
cluster with copied keys, two nodes with one id, a node that was told to dial itself, versions too far apart. Each is refused in words that
both sides log.
"""
import msgspec

from holdfast.cluster.frame import FRAME_VERSION
from holdfast.ids import Millis, NodeId
from holdfast.limits import CLUSTER_CLOCK_DIFFERENCE_MS, CLUSTER_NAME_MAX_CHARS


class Hello(msgspec.Struct, frozen=True, kw_only=True):
    """Fields may be added, none removed: an older node passes over what it does not know."""

    node: NodeId
    incarnation: int                                 # one run of the node's process; a restart has another one
    cluster: str                                     # its id; "": this node does not know it yet
    frames_min: int = FRAME_VERSION                  # oldest version of frames that it reads
    frames_max: int = FRAME_VERSION                  # newest one that it writes
    wall_ms: Millis = Millis(0)                      # its wall clock; 0: unknown


class HelloRefused(Exception):
    """What stands in the way; each text can be shown to both sides."""


_decode = msgspec.msgpack.Decoder(Hello).decode
encode_hello = msgspec.msgpack.Encoder().encode


def decode_hello(body: bytes) -> Hello:
    """Raises HelloRefused."""
    try:
        hello = _decode(body)
    except (ValueError, RecursionError) as error:     # msgspec raises these too: bad UTF-8, and one list in another without an end
        raise HelloRefused(f"malformed hello: {error}") from error
    if not 0 < len(hello.node) <= CLUSTER_NAME_MAX_CHARS or len(hello.cluster) > CLUSTER_NAME_MAX_CHARS:
        raise HelloRefused(f"hello: a node's id has 1 to {CLUSTER_NAME_MAX_CHARS} characters, a cluster's at most as many")
    return hello


def agree(own: Hello, other: Hello) -> int:
    """The version of frames that both use from here on: the newest that both know. Raises HelloRefused."""
    if own.cluster and other.cluster and own.cluster != other.cluster:
        raise HelloRefused(f"node {other.node} belongs to cluster {other.cluster}, node {own.node} to cluster {own.cluster}")
    if own.node == other.node and own.incarnation == other.incarnation:
        raise HelloRefused(f"node {own.node} was told to connect to itself: check the addresses in its configuration")
    if own.node == other.node:
        raise HelloRefused(f"two nodes have the id {own.node}: give one of them another node_id")
    version = min(own.frames_max, other.frames_max)
    if version < max(own.frames_min, other.frames_min):
        raise HelloRefused(f"no version of frames in common: node {other.node} knows {other.frames_min} to {other.frames_max}, "
                           f"node {own.node} knows {own.frames_min} to {own.frames_max}")
    return version


def clock_difference_ms(own: Hello, other: Hello) -> int:
    """How far the other side's wall clock is ahead, if that is worth a warning; else 0."""
    if not own.wall_ms or not other.wall_ms:
        return 0
    ahead = other.wall_ms - own.wall_ms
    return ahead if abs(ahead) > CLUSTER_CLOCK_DIFFERENCE_MS else 0
