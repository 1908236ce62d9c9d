"""Rule 6: a standby that is stopped again and again holds up writes for no longer than its lease, and less and less often."""
from itertools import pairwise

from holdfast.ha.rules import TIMES
from holdfast.testing.clients import Load
from holdfast.testing.history import Act, Trace
from holdfast.testing.loop import simulation
from holdfast.testing.run import Runner, Scenario

PAUSES, PAUSED_S, EVERY_S = 20, 0.4, 0.6
STALL_S = 0.1                                        # without an acknowledged write: none of the usual gaps is so long


def test_a_standby_that_stops_again_and_again() -> None:
    with simulation(1) as loop:
        runner = Runner(loop, Scenario(load=Load(reads=5.0, writes=60.0, lookups=0.0, tokens=0.0)), Trace())
        runner.form()
        runner.clients.start()
        loop.run_for(1.0)
        active = runner.cluster.active
        assert active is not None
        standby = next(host for host in runner.cluster.hosts.values() if host is not active.host)
        began = loop.now
        for _ in range(PAUSES):
            for process in standby.processes.values():
                process.stop()
            loop.run_for(PAUSED_S)
            for process in standby.processes.values():
                process.go_on()
            loop.run_for(EVERY_S - PAUSED_S)
        answered = sorted(asked.returned for asked in runner.clients.registers
                          if asked.act is Act.WRITE and asked.node != standby.name and began < asked.returned < loop.now)
    gaps = [after - before for before, after in pairwise(answered)]
    assert max(gaps) < (TIMES.lease + TIMES.margin) / 1000 + 0.05
    stalls = sum(gap > STALL_S for gap in gaps)
    assert 0 < stalls <= PAUSES // 2, f"{stalls} stalls in {PAUSES} pauses: who holds writes up must get no lease for a while"
