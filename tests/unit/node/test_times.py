"""The times of the read leases stand in two rooms and on a page, and are the same."""
from __future__ import annotations

import re
from pathlib import Path

from holdfast.ha.rules import TIMES
from holdfast.storage.raft import TIMING

PAGE = (Path(__file__).parents[3] / "docs/consistency.md").read_text()


def test_the_machine_and_the_log_reckon_with_the_same_times() -> None:
    assert (TIMES.lease, TIMES.renew, TIMES.margin, TIMES.gate) == (TIMING.lease, TIMING.renew, TIMING.margin, TIMING.vote_gate)


def test_the_page_names_them() -> None:
    found = re.search(r"hold\*, (\d+) ms.*?gate\*, (\d+)\s+ms.*?lease \((\d+) ms\).*?renewed every (\d+) ms", PAGE, re.DOTALL)
    assert found is not None
    assert tuple(map(int, found.groups())) == (TIMING.hold, TIMING.vote_gate, TIMING.lease, TIMING.renew)
