"""One message of each kind, with every field set. Run as a module, it writes the frames of a version that has none yet."""
import json
import sys
from pathlib import Path

from holdfast.crypto import Secret
from holdfast.engine import Client, Method, Origin, Reply, Request, WriteId
from holdfast.engine.listener import Listener
from holdfast.engine.request import Inconsistent
from holdfast.ha.message import (
    Applied,
    Candidate,
    Echo,
    EchoReply,
    ForwardRefused,
    ForwardReply,
    ForwardRequest,
    ForwardStream,
    Kind,
    LeaseAsk,
    LeaseGrant,
    LeaseRecall,
    LeaseRelease,
    Message,
    ReadIndex,
    ReadIndexAsk,
    Refused,
    Selected,
    Update,
    encode,
)
from holdfast.ids import Index, Millis, NodeId, RequestId, Term
from holdfast.replica import Why

ID = WriteId(node=NodeId("b"), incarnation=7, sequence=12)
REQUEST = Request(
    id=RequestId("9a"), method=Method.POST, path="secret/data/a", query={"version": "2"}, body=b'{"data":{}}',
    content_type="application/json", token=Secret(b"canary token"), wrap_ttl_s=60,
    client=Client(address="10.0.0.9", port=4711, certificate=b"\x30\x03", forwarded_from="10.0.0.1"), listener=Listener(),
    wants_active=True, no_forwarding=True, states=("djE6",), inconsistent=Inconsistent.FORWARD)
ORIGIN = Origin(id=ID, digest=b"d" * 32, floor=11, reply_key=Secret(b"canary key".ljust(32, b"k")))
EXAMPLES: tuple[Message, ...] = (
    ForwardRequest(term=Term(3), request=REQUEST, why=Why.NO_LEASE, origin=ORIGIN),
    ForwardReply(id=ID, reply=Reply(status=200, body=b"{}", headers=(("X-Vault-Index", "djE6"),))),
    ForwardStream(id=ID, status=200, content_type="application/gzip", headers=(("a", "b"),)),
    ForwardRefused(id=ID, hold=True, why="this node is not active in that term"),
    Candidate(term=Term(3), incarnation=7),
    Selected(term=Term(3), incarnation=7, name="ps-1", key=Secret(b"canary pkcs8"), certificate=b"\x30\x01",
             active_certificate=b"\x30\x02"),
    Refused(term=Term(3), final=True, why="performance standbys are disabled on the active node"),
    Echo(number=4, wall_ms=Millis(1_700_000_000_000), hostname="h", api_address="https://b:8200", cluster_address="b:8201", version="1.0.0",
         performance_standby=True, applied=Index(90), raft_applied=101, took_ms=2, skew_ms=-3),
    EchoReply(number=4, wall_ms=Millis(1_700_000_000_001), version="1.0.0", applied=Index(91), raft_applied=102),
    LeaseAsk(term=Term(3), incarnation=7, serial=40, applied=Index(90)),
    LeaseGrant(term=Term(3), incarnation=7, serial=40, length_ms=150, watermark=Index(90), now_ms=Millis(1_700_000_000_002)),
    LeaseRelease(term=Term(3), incarnation=7, serial=41),
    LeaseRecall(term=Term(3)),
    Applied(term=Term(3), incarnation=7, index=Index(92)),
    Update(term=Term(3), watermark=Index(92)),
    ReadIndexAsk(term=Term(3), incarnation=7, number=5),
    ReadIndex(term=Term(3), incarnation=7, number=5, index=Index(92)),
)


def write_frames(file: Path) -> None:
    """Refuses to write over frames that there are: those of a released version never change."""
    frames = {Kind(kind).name: body.hex() for kind, body in map(encode, EXAMPLES)}
    with file.open("x") as out:
        out.write(json.dumps(frames, indent=1) + "\n")


if __name__ == "__main__":
    write_frames(Path(sys.argv[1]))
