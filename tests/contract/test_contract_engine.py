"""The contract engine by itself: what the other rings build on."""
from contextlib import suppress
from pathlib import Path

import pytest
from tests.contract import world
from tests.contract.engine import CONTRACT, CONTRACT_AUTH, renew_login
from tests.contract.misbehaviour import MISBEHAVIOURS
from tests.contract.runner import Runner

from holdfast.engine import Context, Place, Renewal, Txn
from holdfast.errors import BadRequest, InvariantError
from holdfast.replica import Abandoned, HeavyCall, OutsideCall


@pytest.fixture
def contract(tmp_path: Path) -> Runner:
    runner = Runner(CONTRACT)
    assert runner.post("world", {"folder": str(tmp_path)}).status == 204
    return runner


def test_a_leased_secret_is_made_outside(contract: Runner, tmp_path: Path) -> None:
    made = contract.get("creds/ann", query={"ttl": "1m", "max_ttl": "1h"})
    assert made.data == {"name": "ann", "password": "password of ann"}
    assert made.leased is not None
    assert (made.leased.kind, made.leased.ttl_s, made.leased.max_ttl_s, made.leased.renewable) == ("creds", 60, 3600, True)
    assert world.users(tmp_path) == ("ann",)
    assert world.calls(tmp_path) == ("create ann",)


def test_outside_calls_go_as_they_are_told(tmp_path: Path) -> None:
    folder = str(tmp_path)
    for _ in range(2):
        with pytest.raises(world.WorldError, match="refused"):
            world.drop(folder, "bob", "fail-2")
    world.drop(folder, "bob", "fail-2")
    for _ in range(3):
        with pytest.raises(world.WorldError, match="refused"):
            world.drop(folder, "eve", "fail")
    with pytest.raises(world.WorldError, match="no user"):
        world.extend(folder, "nobody", "ok")
    world.release(tmp_path)
    assert world.create(folder, "ann", "hang") == "password of ann"
    world.extend(folder, "ann", "ok")
    assert world.calls(tmp_path, "drop") == ("bob",) * 3 + ("eve",) * 3
    assert world.users(tmp_path) == ("ann",)


def test_leases_inside_are_keys(contract: Runner) -> None:
    made = contract.get("token/ann")
    assert made.leased is not None
    name = made.data["value"]
    assert contract.list("live").data == {"keys": [name]}
    txn = contract.below()
    CONTRACT.leases["token"].revoke(txn, made.leased.record, contract.context(txn))
    assert txn.get(f"live/{name}") is None


def test_jobs_take_many_batches(contract: Runner) -> None:
    assert contract.post("many/2500").status == 204
    assert contract.run_jobs() == 3
    assert len(contract.keys("many/")) == 2500
    contract.delete("many/2500")
    assert contract.run_jobs() == 3
    assert contract.keys("many/") == ()


def test_a_run_started_again_draws_the_same(contract: Runner) -> None:
    answered = contract.get("random/x")
    assert answered.heavy_calls == 1
    first, _, second = answered.data["value"].split()
    assert len(first) == 36
    assert len(second) == 16


def test_a_use_outlives_a_refusal(contract: Runner) -> None:
    contract.post("spend/a", {"how": "refuse"})
    assert contract.keys("kept/") == ()
    assert contract.post("spend/a").data == {"value": "2"}


def test_a_login_goes_on_until_its_name_has_gone() -> None:
    auth = Runner(CONTRACT_AUTH)
    done = auth.post("login/ann", {"policies": "dev", "ttl": "1m"})
    assert done.login is not None
    assert (done.login.alias, done.login.token.policies) == ("ann", ("dev",))
    renewal = Renewal(alias="ann", policies=("dev",), internal=done.login.internal, metadata={})
    txn = auth.below(Place.WORKER)
    assert renew_login(txn, renewal, auth.context(txn)).policies == ("dev",)
    auth.post("forget/ann")
    txn = auth.below(Place.WORKER)
    with pytest.raises(BadRequest):
        renew_login(txn, renewal, auth.context(txn))


class TestStopped:
    """Whatever an engine swallows, the attempt stays stopped; and nothing of it is buffered."""

    def attempt(self, contract: Runner, how: str, place: Place) -> tuple[Txn, Context]:
        txn = contract.below(place)
        ctx = contract.context(txn)
        with suppress(Abandoned, BadRequest, ZeroDivisionError):
            MISBEHAVIOURS[how](txn, ctx)
        return txn, ctx

    @pytest.mark.parametrize("how", sorted(how for how in MISBEHAVIOURS if how.startswith(("swallow-put", "swallow-then", "swallow-and",
                                                                                           "swallow-memory", "swallow-effect"))))
    def test_at_a_worker(self, contract: Runner, how: str) -> None:
        txn, ctx = self.attempt(contract, how, Place.WORKER)
        assert txn.run.stop is not None
        assert (txn.changes(), ctx.attempt.effects, ctx.attempt.jobs) == ({}, (), ())
        with pytest.raises(Abandoned):
            txn.get("anything")

    def test_heavy_and_outside_calls(self, contract: Runner) -> None:
        assert isinstance(self.attempt(contract, "swallow-heavy", Place.WORKER)[0].run.stop, HeavyCall)
        assert isinstance(self.attempt(contract, "swallow-outside", Place.ACTIVE)[0].run.stop, OutsideCall)

    def test_on_the_lane_nothing_stops_them(self, contract: Runner) -> None:
        assert set(self.attempt(contract, "swallow-then-write", Place.ACTIVE)[0].changes()) == {"mount/u/a", "mount/u/b", "mount/u/c"}

    @pytest.mark.parametrize("place", [Place.WORKER, Place.ACTIVE])
    @pytest.mark.parametrize("how", ["derive-writes", "derive-spends"])
    def test_what_is_derived_cannot_write(self, contract: Runner, how: str, place: Place) -> None:
        txn = contract.below(place)
        with pytest.raises(InvariantError):
            MISBEHAVIOURS[how](txn, contract.context(txn))
        assert txn.changes() == {}

    def test_what_is_derived_cannot_write_by_swallowing(self, contract: Runner) -> None:
        txn = contract.below()
        MISBEHAVIOURS["derive-swallows"](txn, contract.context(txn))
        assert txn.changes() == {}
