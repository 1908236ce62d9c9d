"""Peer bugs 46 and 47 in a cluster: work without a bound is true everywhere once it is answered, and ends under whoever is active by then.

Sizes are those that a test can afford; `python -m bench` has the figures for a million keys and 100,000 children.
"""
from __future__ import annotations

import threading
import time
from collections.abc import Iterable

import pytest
from tests.at_once import at_once
from tests.client import Client
from tests.cluster_nodes import CALM, Cluster
from tests.contract import world
from tests.node import mount, new_token
from tests.processes import wait_until

CLUSTER = {**CALM, "contract": True}
KEYS = 30_000
CHILDREN = 600
MAKERS = 4
KILLS = 2                                                # of the active node, while the work goes on
ANSWERED_WITHIN_S = 8.0                                  # also where others use the machine; `bench/` has the figures


def wait_gone(cluster: Cluster, prefix: str, at_most: int = 0) -> None:
    for member in cluster.members:
        wait_until(lambda member=member: member.keys_below(prefix) <= at_most, f"{prefix} has gone at {member.name}")  # type: ignore[misc]


def kill_again_and_again(cluster: Cluster) -> None:
    for _ in range(KILLS):
        active = cluster.active
        active.kill()
        cluster.wait_active()
        cluster.restart(active)
        cluster.wait_whole()


def statuses(cluster: Cluster, path: str, tokens: Iterable[str]) -> set[int]:
    """What a worker and the main process of every node answer."""
    tokens = list(tokens)
    found: set[int] = set()
    for member in cluster.members:
        for client in (member.client(), member.main()):
            found |= {client.get(path, token=token).status for token in tokens}
    return found


def test_peer_bug_46_an_unmounting_outlives_the_active_node(cluster: Cluster) -> None:
    """Many keys are unmounted, and the active node is killed half way: the path is free at once, and in the end no key is left anywhere and
    the lease was revoked by the old engine."""
    standby = cluster.standbys[0]
    client = standby.client()
    mount(client, "con", "contract")
    prefix = f"mount/{client.get('sys/mounts').ok().data['con/']['uuid']}/"
    client.post("con/world", {"folder": str(cluster.folder)}).ok()
    lease = client.get("con/creds/u1?ttl=1h").ok().json["lease_id"]
    client.post(f"con/many/{KEYS}").ok()
    wait_until(lambda: cluster.active.keys_below(prefix) >= KEYS, "all keys are written")
    began = time.monotonic()
    client.delete("sys/mounts/con").ok()
    assert time.monotonic() - began < ANSWERED_WITHIN_S
    assert statuses(cluster, "con/raw", [cluster.root_token]) == {404}, "true at once, in every process of every node"
    mount(client, "con", "contract")
    assert cluster.active.keys_below(prefix) > 0, "the work is not done when the active node is killed"
    kill_again_and_again(cluster)
    wait_gone(cluster, prefix)
    wait_until(lambda: world.users(cluster.folder) == (), "the lease was revoked by the old engine")
    active = cluster.active.main()
    assert active.post("sys/leases/lookup", {"lease_id": lease}).status == 400
    assert statuses(cluster, "con/raw", [cluster.root_token]) == {202}, "the new mount is untouched"


def test_peer_bug_47_a_family_revoked_through_a_standby_is_dead_everywhere(cluster: Cluster) -> None:
    """A parent of hundreds is revoked while a child of it makes tokens through every node; then the active node is killed."""
    revoker = cluster.standbys[0].client()
    stranger, parent = new_token(revoker, "default", ttl="2h"), new_token(revoker, "root", ttl="2h")
    before = cluster.active.keys_below("core/token/id/")
    family = make_children(cluster, parent)
    middle = new_token(cluster.standbys[1].client(parent), "root", ttl="1h")
    family.append(new_token(cluster.active.client(middle), "default"))
    racing: list[str] = []
    racers = [threading.Thread(target=race, args=(Client(member.connect, middle), racing)) for member in cluster.members]
    for racer in racers:
        racer.start()
    wait_until(lambda: len(racing) > 2 * len(racers), "a child of it makes tokens meanwhile")
    began = time.monotonic()
    revoker.post("auth/token/revoke", {"token": parent}).ok()
    assert time.monotonic() - began < ANSWERED_WITHIN_S
    assert statuses(cluster, "auth/token/lookup-self", [parent, middle, *family[::40], family[-1]]) == {403}, "dead at once, everywhere"
    for racer in racers:
        racer.join(60)
        assert not racer.is_alive(), "a child of what was revoked still makes tokens"
    kill_again_and_again(cluster)
    assert statuses(cluster, "auth/token/lookup-self", [*racing, *family[::20]]) == {403}, "also what was made in the race"
    wait_gone(cluster, "core/token/id/", before)
    assert statuses(cluster, "auth/token/lookup-self", [stranger]) == {200}, "nobody else's"


def make_children(cluster: Cluster, parent: str) -> list[str]:
    made: list[str] = []

    def make(number: int) -> None:
        client = Client(cluster.members[number % 3].connect, parent)
        made.extend(new_token(client, "default", ttl="1h") for _ in range(CHILDREN // MAKERS))
        client.close()

    at_once(make, range(MAKERS))
    assert len(made) == CHILDREN
    return made


def race(client: Client, made: list[str]) -> None:
    """Until its token is good for nothing."""
    while (answer := client.post("auth/token/create", {"policies": ["default"]})).status == 200:
        made.append(answer.auth["client_token"])
    client.close()
    if answer.status != 403:
        pytest.fail(f"{answer}")
