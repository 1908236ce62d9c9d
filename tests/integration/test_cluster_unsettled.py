"""Invariant 18: a write of the active node's own client is answered with what became of it, or its client hears that nobody can say."""
from __future__ import annotations

import threading
import time

from tests.client import Answer, Client
from tests.cluster_nodes import CALM, SEALED, Cluster
from tests.cluster_nodes import cluster as cluster_of
from tests.node import mount

WRITERS = 4
UNKNOWN = ["the outcome of the request is not known: this node lost its part in the cluster"]
NOT_BEGUN = ["Vault is sealed"]
ATTEMPTS = 20                                            # a write must have begun and not be durable anywhere else when the node is sealed


def write_until_refused(client: Client, path: str, over: threading.Event, done: dict[str, int], refused: dict[str, Answer]) -> None:
    while not over.is_set():
        answer = client.post(path, {"data": {}})
        if answer.status != 200:
            refused[path] = answer
            break
        done[path] = answer.data["version"]
    client.close()


def test_a_node_that_is_sealed_without_a_majority_cannot_say_what_became_of_its_writes() -> None:
    """Appends wait for members that do not answer, and the node that waits for them forgets its keys. Whoever's write had begun hears that
    its outcome is not known, and it is there as a whole or not at all; whoever hears anything else has written nothing."""
    with cluster_of(3, **CALM) as found:
        mount(found.begin().active.client(), "kv")
        assert any(UNKNOWN in sealed_without_a_majority(found, f"kv/data/{attempt}") for attempt in range(ATTEMPTS))


def sealed_without_a_majority(found: Cluster, path: str) -> list[list[str]]:
    """What the writers heard, after a look at what they have written. The cluster is whole again."""
    active, standbys = found.active, found.standbys
    done: dict[str, int] = {}
    refused: dict[str, Answer] = {}
    over = threading.Event()
    writers = [threading.Thread(target=write_until_refused, args=(active.client(), f"{path}-{number}", over, done, refused))
               for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    while len(done) < WRITERS:
        time.sleep(0.01)
    for standby in standbys:
        standby.pause()
    is_sealed = active.main().post("sys/seal").status == 204
    over.set()
    for standby in standbys if not is_sealed else ():    # its hold was over before: its writers wait for its successor
        standby.resume()
    for writer in writers:
        writer.join(30)
    for standby in standbys:
        standby.resume()
    if is_sealed:
        assert {answer.status for answer in refused.values()} <= {503}
        assert active.health() == SEALED
        active.stop()
        found.restart(active)
    client = found.wait_whole().client()
    for written, answer in refused.items():
        version = client.get(written).ok().data["metadata"]["version"]
        assert answer.errors in (UNKNOWN, NOT_BEGUN)
        assert version in ((done[written], done[written] + 1) if answer.errors == UNKNOWN else (done[written],)), written
    return [answer.errors for answer in refused.values()]
