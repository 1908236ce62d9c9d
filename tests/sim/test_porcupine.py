"""The own checkers against porcupine, an independent one, on thousands of made histories. Needs Go and, once, its module proxy."""
import json
import shutil
import subprocess
from math import inf
from pathlib import Path
from random import Random

import pytest
from msgspec.structs import replace

from holdfast.testing.clients import Load
from holdfast.testing.histories import right, spoilt
from holdfast.testing.history import Act, Operation, Trace, by_key
from holdfast.testing.linearizable import check_any, check_unique
from holdfast.testing.loop import simulation
from holdfast.testing.run import Runner, Scenario

PROGRAM = Path(__file__).parent / "porcupine"


def written(history: list[Operation]) -> list[dict[str, object]]:
    return [{"client": each.client, "act": each.act.value, "invoked": int(each.invoked * 1e6),
             "returned": -1 if each.returned == inf else int(each.returned * 1e6), "value": each.value, "expected": each.expected,
             "done": each.done is not False} for each in history]


@pytest.fixture(scope="module")
def porcupine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    go = shutil.which("go") or shutil.which("/usr/local/go/bin/go")
    if go is None:
        pytest.skip("go is not installed: the histories are checked by the own checkers alone")
    binary = tmp_path_factory.mktemp("porcupine") / "porcupine"
    built = subprocess.run([go, "build", "-o", binary, "."], cwd=PROGRAM, capture_output=True, text=True, timeout=300, check=False)
    if built.returncode != 0:
        if "dial tcp" in built.stderr or "lookup" in built.stderr or "connection refused" in built.stderr:
            pytest.skip(f"porcupine cannot be had without a network: {built.stderr.strip().splitlines()[-1]}")
        raise AssertionError(built.stderr)
    return binary


def judged(porcupine: Path, histories: list[list[Operation]]) -> list[bool]:
    text = json.dumps([written(history) for history in histories])
    said = subprocess.run([porcupine], input=text, capture_output=True, text=True, timeout=120, check=True).stdout
    verdicts = json.loads(said)
    assert "unknown" not in verdicts
    return [verdict == "ok" for verdict in verdicts]


@pytest.mark.parametrize("cas", [False, True])
def test_the_own_checkers_say_what_porcupine_says(porcupine: Path, cas: bool) -> None:
    dice = Random(11)
    histories = [right(dice, 20, cas=cas) for _ in range(500)]
    histories += [spoilt(dice, history) for history in histories]
    verdicts = judged(porcupine, histories)
    assert all(verdicts[:500])
    assert verdicts[500:].count(False) > 100
    for history, verdict in zip(histories, verdicts, strict=True):
        assert (check_any(history) is None) == verdict, history
        if not cas:
            assert (check_unique(history) is None) == verdict, history


def test_porcupine_takes_what_a_simulated_cluster_answered(porcupine: Path) -> None:
    """The same histories as the run judges itself; and one read of each, spoilt, is refused by both."""
    scenario = Scenario(seconds=10.0, load=Load(reads=6.0, writes=3.0, cas=0.0, lookups=3.0, fresh_s=3.0))
    with simulation(5) as loop:
        runner = Runner(loop, scenario, Trace())
        runner.run()
        asked = [each.operation() for each in (*runner.clients.registers, *runner.clients.tokens)]
    histories = [history for history in by_key(asked).values() if len(history) > 4]
    assert len(histories) > 20
    assert all(judged(porcupine, histories))
    stale = [[*history[:at], replace(history[at], value="never written"), *history[at + 1:]] for history in histories
             for at in [next((number for number, each in enumerate(history) if each.act is Act.READ), -1)] if at >= 0]
    assert not any(judged(porcupine, stale))
    assert all(check_unique(history) for history in stale)
