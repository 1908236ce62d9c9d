"""Real nodes as fixtures. `node` is shared by the tests of one module; `make_node` gives nodes of a test's own.

Property tests try the same examples in every run, however slow the machine is, so that what fails fails again. Others are drawn with
`--hypothesis-profile=random`, which `--hypothesis-seed=N` repeats.
"""
from __future__ import annotations

import itertools
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from hypothesis import HealthCheck, settings
from tests.client import Client
from tests.cluster_nodes import Cluster
from tests.load import prepare
from tests.node import Node, mount

MakeNode: TypeAlias = Callable[..., Node]
MakeCluster: TypeAlias = Callable[..., Cluster]
_names = itertools.count(1)
settings.register_profile("random", deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", settings.get_profile("random"), derandomize=True)
settings.load_profile("same")


def pytest_configure() -> None:
    """SIGTERM ends the tests as Ctrl-C does: their nodes and folders go first."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """What the nodes of a failed test have logged stands in its report."""
    report: Any = yield
    if report.failed:
        for name, value in getattr(item, "funcargs", {}).items():
            for each in _nodes(value):
                report.sections.append((f"log of {getattr(each, 'name', name)}", each.tail))
    return report  # type: ignore[no-any-return]


def _nodes(value: Any) -> list[Node]:
    """Those that a fixture stands for."""
    match value:
        case Node():
            return [value]
        case Cluster():
            return list(value.members)
        case _:
            return [node for each in getattr(value, "made", []) for node in _nodes(each)]


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder whose name leaves room for the path of a unix socket."""
    folder = Path(tempfile.mkdtemp(prefix="hf-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def make_node(short_path: Path) -> Iterator[MakeNode]:
    """Nodes that end with the test: `make_node(workers=2, static=False, …)`, not started."""
    made: list[Node] = []

    def make(**options: Any) -> Node:
        made.append(Node(short_path / f"n{len(made)}", **options))
        return made[-1]

    make.made = made  # type: ignore[attr-defined]
    yield make
    for node in made:
        node.end()


@pytest.fixture(scope="module")
def node(request: pytest.FixtureRequest) -> Iterator[Node]:
    """Durable, unsealed, with one worker; shared by the tests of a module. A module's NODE are options of it."""
    folder = Path(tempfile.mkdtemp(prefix="hf-"))
    found = Node(folder, **getattr(request.module, "NODE", {}))
    try:
        yield found.begin()
    finally:
        found.end()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def shared_cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Three nodes; `cluster` gives it to each test of a module as a whole. A module's CLUSTER are options of them, such as CALM."""
    folder = Path(tempfile.mkdtemp(prefix="hf-"))
    found = Cluster(folder, **getattr(request.module, "CLUSTER", {}))
    try:
        yield found.begin()
    finally:
        try:
            found.end()
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def load_token(shared_cluster: Cluster) -> str:
    """For the mount to which load goes."""
    return prepare(shared_cluster.active)


@pytest.fixture
def cluster(shared_cluster: Cluster) -> Cluster:
    """The cluster of the module: one node is active, the others are performance standbys, whatever the test before has done."""
    for member in shared_cluster.members:
        member.resume()
        if member.process is None:
            shared_cluster.restart(member)
    shared_cluster.wait_whole()
    return shared_cluster


@pytest.fixture
def make_cluster(short_path: Path) -> Iterator[MakeCluster]:
    """Clusters that end with the test: `make_cluster(3, static=False, …)`, not begun."""
    made: list[Cluster] = []

    def make(size: int = 3, **options: Any) -> Cluster:
        made.append(Cluster(short_path / f"c{len(made)}", size, **options))
        return made[-1]

    make.made = made  # type: ignore[attr-defined]
    yield make
    for each in made:
        each.end()


@pytest.fixture
def client(node: Node) -> Iterator[Client]:
    """Root, through a worker of the shared node."""
    found = node.client()
    yield found
    found.close()


@pytest.fixture
def main(node: Node) -> Iterator[Client]:
    """Root, at the main process of the shared node."""
    found = node.main()
    yield found
    found.close()


@pytest.fixture
def new_name() -> Callable[[str], str]:
    """Names that no other test has: `new_name("kv")`."""
    return lambda prefix: f"{prefix}-{next(_names)}"


@pytest.fixture
def kv(client: Client, new_name: Callable[[str], str]) -> str:
    """The path of a fresh KV version 2."""
    path = new_name("kv")
    mount(client, path)
    return path
