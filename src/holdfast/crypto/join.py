"""How a node that wants to join proves that it can open the cluster's seal, and gets what members share.

The active node gives a challenge: an expiry and a MAC over it and the node's id, under the seal. Who opens it sends it back. Nothing is
remembered between the two, so any member that is active then can check it, and unauthenticated calls cost no memory (CVE-2024-8185).

Invariants: (1) an answer counts for the id that asked, until it expires; (2) what is handed over is under the seal too, so that it is worth
nothing to whoever reads along or only repeats an answer.
"""
import hashlib
import hmac

from holdfast.crypto.draw import Draw
from holdfast.crypto.seal import Seal
from holdfast.crypto.secret import Secret
from holdfast.errors import BadRequest
from holdfast.ids import Millis
from holdfast.limits import JOIN_CHALLENGE_MS

CHALLENGE, HANDOVER = "raft-join-challenge", "raft-join-handover"
_TIME_BYTES = 8


def challenge(seal: Seal, key: Secret, *, server_id: str, now_ms: Millis, draw: Draw) -> bytes:
    """For this node id; what opens it is to be sent back. `key`: known to every member and nobody else."""
    expires = (now_ms + JOIN_CHALLENGE_MS).to_bytes(_TIME_BYTES)
    return seal.wrap(Secret(expires + _mac(key, expires, server_id)), name=CHALLENGE, draw=draw)


def answer(seal: Seal, sealed: bytes) -> bytes:
    """What a challenge holds. InvalidKey: it is under another seal, so of another cluster."""
    return seal.unwrap(sealed, name=CHALLENGE).value


def check(key: Secret, answered: bytes, *, server_id: str, now_ms: Millis) -> None:
    """BadRequest, as Vault words it, unless this node id opened its challenge in time."""
    expires, mac = answered[:_TIME_BYTES], answered[_TIME_BYTES:]
    if not hmac.compare_digest(_mac(key, expires, server_id), mac):
        raise BadRequest("invalid answer given")
    if now_ms >= int.from_bytes(expires):
        raise BadRequest(f"the answer came later than {JOIN_CHALLENGE_MS // 1000} s after its challenge")


def hand_over(seal: Seal, secret: Secret, *, draw: Draw) -> bytes:
    """What a member gives to one that has answered."""
    return seal.wrap(secret, name=HANDOVER, draw=draw)


def take_over(seal: Seal, sealed: bytes) -> Secret:
    """InvalidKey: it is under another seal."""
    return seal.unwrap(sealed, name=HANDOVER)


def _mac(key: Secret, expires: bytes, server_id: str) -> bytes:
    mac_key = hashlib.blake2b(key.value, digest_size=32, person=b"holdfast join").digest()
    return hmac.new(mac_key, expires + server_id.encode(), "sha256").digest()
