"""Invariant 18: a write of the active node's own client is answered with what became of it, or its client hears that nobody can say."""
from __future__ import annotations

import threading
import time

from tests.client import Answer, Client
from tests.cluster_nodes import CALM, SEALED
from tests.cluster_nodes import cluster as cluster_of
from tests.node import mount

WRITERS = 4
UNKNOWN = ["the outcome of the request is not known: this node lost its part in the cluster"]
NOT_BEGUN = ["Vault is sealed"]


def write_until_refused(client: Client, path: str, done: dict[str, int], refused: dict[str, Answer]) -> None:
    while (answer := client.post(path, {"data": {}})).status == 200:
        done[path] = answer.data["version"]
    refused[path] = answer
    client.close()


def test_a_node_that_is_sealed_without_a_majority_cannot_say_what_became_of_its_writes() -> None:
    """Appends wait for members that do not answer, and the node that waits for them forgets its keys. Whoever's write had begun hears that
    its outcome is not known, and it is there as a whole or not at all; whoever hears anything else has written nothing."""
    with cluster_of(3, **CALM) as found:
        active = found.begin().active
        mount(active.client(), "kv")
        standbys = found.standbys
        done: dict[str, int] = {}
        refused: dict[str, Answer] = {}
        writers = [threading.Thread(target=write_until_refused, args=(active.client(), f"kv/data/{number}", done, refused))
                   for number in range(WRITERS)]
        for writer in writers:
            writer.start()
        while len(done) < WRITERS:
            time.sleep(0.01)
        for standby in standbys:
            standby.pause()
        assert active.main().post("sys/seal").status == 204
        for writer in writers:
            writer.join(30)
        assert {answer.status for answer in refused.values()} == {503}
        assert UNKNOWN in [answer.errors for answer in refused.values()]
        assert active.health() == SEALED
        for standby in standbys:
            standby.resume()
        client = found.wait_active(other_than=active).client()
        for path, answer in refused.items():
            version = client.get(path).ok().data["metadata"]["version"]
            assert answer.errors in (UNKNOWN, NOT_BEGUN)
            assert version in ((done[path], done[path] + 1) if answer.errors == UNKNOWN else (done[path],)), path
