"""Three members of a log, in virtual time, under whatever faults: all of them apply the same batches in the same order, nothing that was
acknowledged is lost, nothing that was said not to be durable comes back, and no two hold the fence at once.

`testing.raft_cluster` checks this at every step; here it is done for drawn mixtures of faults.
Invariant 13.
"""
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.testing.history import Trace
from holdfast.testing.loop import simulation
from holdfast.testing.nemesis import WEIGHTS, Nemesis, Plan
from holdfast.testing.raft_cluster import RaftCluster

FAULTS = st.sets(st.sampled_from(sorted(WEIGHTS)), min_size=1)


@settings(max_examples=4)
@given(seed=st.integers(0, 1 << 32), faults=FAULTS, every_s=st.sampled_from([0.3, 1.0, 3.0]))
def test_all_members_apply_the_same_and_keep_what_was_acknowledged(seed: int, faults: set[str], every_s: float) -> None:
    with simulation(seed) as loop:
        cluster = RaftCluster(loop, 3, Trace(0))
        for host in cluster.hosts.values():
            cluster.start(host)
        loop.run_for(3.0)
        plan = Plan(every_s=every_s, weights={name: WEIGHTS[name] for name in sorted(faults)})
        loop.run_until_complete(Nemesis(cluster, plan).run(8.0))
        cluster.calm()
        loop.run_for(6.0)
        cluster.is_quiet = True
        loop.run_for(4.0)
        cluster.check_settled()
        assert cluster.appends > 20
