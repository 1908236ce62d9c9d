"""Links that are slow, break, or are cut without a word: between real nodes, by proxies, and in network namespaces by taking links down."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

import pytest
from tests.cluster_nodes import ACTIVE, Cluster, Member
from tests.cluster_nodes import cluster as cluster_of
from tests.links import Namespaces, namespaces
from tests.load import Counts, Load, assert_unharmed, prepare
from tests.processes import wait_until

RATE_S = 15.0                                            # of reads, and of writes, at each node: any machine can do that
KEYS = 8
BEFORE_S, AFTER_S = 0.7, 2.5
TRIES = 3                                                # a machine that is busy may see a change of the active node at any time
STALL_MAX_MS = 8_000                                     # long before a client gives up


def under_load(found: Cluster, token: str, happen: Callable[[], object], mend: Callable[[], object], nodes: Sequence[Member]) -> Counts:
    """What clients of those nodes saw while it lasted; all histories are checked, and go on until all is mended and whole again."""
    with Load(found.members, token, folder=found.folder, reads_s=RATE_S, writes_s=RATE_S, keys=KEYS) as load:
        time.sleep(BEFORE_S)
        began = time.monotonic()
        happen()
        try:
            time.sleep(AFTER_S)
        finally:
            ended = time.monotonic()
            mend()
        found.wait_whole()
        time.sleep(0.5)
    load.seen.check()
    return load.seen.counts(since=began, until=ended, nodes=nodes)


@pytest.fixture(scope="module")
def proxied() -> Iterator[tuple[Cluster, str]]:
    with cluster_of(3, proxied=True) as found:
        found.begin()
        yield found, prepare(found.active)


@pytest.mark.parametrize("delay_s", [0.02, 0.3])
def test_a_slow_link_to_a_standby(proxied: tuple[Cluster, str], delay_s: float) -> None:
    """It answers more slowly, or passes reads on; nobody fails, and the others do not wait for it for long."""
    found, token = proxied

    def is_slow() -> Counts:
        standby = found.standbys[0]
        link = standby.proxy
        assert link is not None
        return under_load(found, token, lambda: setattr(link, "delay_s", delay_s), lambda: setattr(link, "delay_s", 0.0),
                          [member for member in found.members if member is not standby])

    assert_unharmed(is_slow, STALL_MAX_MS)


def test_links_that_are_reset_again_and_again(proxied: tuple[Cluster, str]) -> None:
    """A reset is a hint, never proof: nothing is lost, nothing is done twice, no client fails."""
    found, token = proxied

    def resets() -> None:
        for _ in range(8):
            for member in found.members:
                assert member.proxy is not None
                member.proxy.reset()
            time.sleep(0.15)

    assert_unharmed(lambda: under_load(found, token, resets, lambda: None, found.members), STALL_MAX_MS)


def test_a_standby_whose_inbound_links_are_dead(proxied: tuple[Cluster, str]) -> None:
    found, token = proxied

    def are_dead() -> Counts:
        standby = found.standbys[0]
        link = standby.proxy
        assert link is not None
        return under_load(found, token, link.cut, link.mend, [member for member in found.members if member is not standby])

    assert_unharmed(are_dead, STALL_MAX_MS)


@pytest.fixture(scope="module")
def separate() -> Iterator[tuple[Cluster, str, Namespaces]]:
    with namespaces(3) as networks, cluster_of(3, networks=networks) as found:
        found.begin()
        yield found, prepare(found.active), networks


def test_the_network_of_the_active_node_is_cut(separate: tuple[Cluster, str, Namespaces]) -> None:
    """Peer bug 32: it is followed by another one, answers nothing from the past meanwhile, and is a standby when it is back."""
    found, token, networks = separate

    def is_cut() -> Counts:
        active = found.active
        number, survivors = found.members.index(active), [member for member in found.members if member is not active]

        def cut() -> None:
            networks.cut(number)
            wait_until(lambda: any(member.health() == ACTIVE for member in survivors), "another one follows")

        return under_load(found, token, cut, lambda: networks.mend(number), survivors)

    assert_unharmed(is_cut, STALL_MAX_MS)


def test_the_network_of_a_standby_is_cut(separate: tuple[Cluster, str, Namespaces]) -> None:
    found, token, networks = separate
    stayed = 0

    def is_cut() -> Counts:
        nonlocal stayed
        active, standby = found.active, found.standbys[0]
        number = found.members.index(standby)
        counts = under_load(found, token, lambda: networks.cut(number), lambda: networks.mend(number),
                            [member for member in found.members if member is not standby])
        stayed += found.active is active
        return counts

    for _ in range(TRIES):
        assert_unharmed(is_cut, STALL_MAX_MS)
        if stayed:
            return
    pytest.fail("who was away disturbs whoever is active")


@pytest.mark.parametrize("from_active", [True, False])
def test_a_link_is_cut_one_way(separate: tuple[Cluster, str, Namespaces], from_active: bool) -> None:
    """Between the active node and one standby; both still reach the third one."""
    found, token, networks = separate

    def is_cut() -> Counts:
        active, standby = found.active, found.standbys[0]
        third = next(member for member in found.members if member not in (active, standby))
        one, other = (found.members.index(member) for member in ((active, standby) if from_active else (standby, active)))
        return under_load(found, token, lambda: networks.cut_one_way(one, other), lambda: networks.mend_one_way(one, other), [third])

    assert_unharmed(is_cut, STALL_MAX_MS)
