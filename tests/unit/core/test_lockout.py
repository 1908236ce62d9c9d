"""Lockout after failed logins. Peer bugs 18 and 42. Source: Vault, "User lockout"."""
import bcrypt
import pytest
from tests.unit.core.token_node import POST, TokenNode

from holdfast.core.lockout import LOCKS, Failures
from holdfast.core.mounts import Defaults, UserLockout
from holdfast.core.outcome import Answer, Forward, Heavy
from holdfast.engine import ActiveMemory, Memo, Place
from holdfast.ids import Millis
from holdfast.limits import LOCKOUT_COUNTERS_MAX

RIGHT = {"password_hash": bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode()}     # the cheapest: logins are counted here, not weighed


@pytest.fixture
def node() -> TokenNode:
    one = TokenNode()
    assert one.post("auth/userpass/users/alice", RIGHT).status == 204
    return one


def log_in(node: TokenNode, password: str, name: str = "alice") -> int:
    return node.post(f"auth/userpass/login/{name}", {"password": password}, token=None).status


def test_42_five_wrong_ones_lock_the_right_one_out_too(node: TokenNode) -> None:
    assert [log_in(node, "wrong") for _ in range(5)] == [400] * 5
    assert (log_in(node, "right"), log_in(node, "wrong")) == (403, 403)
    assert len(LOCKS.names(node.txn())) == 1
    node.advance(899)
    assert log_in(node, "right") == 403
    node.advance(1)
    assert log_in(node, "right") == 200


def test_42_a_lock_survives_the_active_node(node: TokenNode) -> None:
    for _ in range(5):
        log_in(node, "wrong")
    node._active = ActiveMemory()
    assert log_in(node, "right") == 403


def test_18_a_worker_never_counts_but_refuses_whom_others_locked(node: TokenNode) -> None:
    request = node.request(POST, "auth/userpass/login/alice", {"password": "wrong"}, token=None)
    heavy = node.attempt(request, Place.WORKER)
    assert isinstance(heavy, Heavy)
    assert isinstance(node.attempt(request, Place.WORKER, Memo().having(heavy.key, heavy.compute())), Forward)
    for _ in range(5):
        log_in(node, "wrong")
    refused = node.attempt(request, Place.WORKER)
    assert isinstance(refused, Answer)
    assert refused.reply.status == 403


def test_a_success_forgets_what_was_counted(node: TokenNode) -> None:
    for _ in range(3):
        assert [log_in(node, "wrong") for _ in range(4)] == [400] * 4
        assert log_in(node, "right") == 200


def test_what_was_counted_runs_out(node: TokenNode) -> None:
    assert [log_in(node, "wrong") for _ in range(4)] == [400] * 4
    node.advance(900)
    assert [log_in(node, "wrong") for _ in range(4)] == [400] * 4
    assert log_in(node, "right") == 200


def test_others_are_not_locked(node: TokenNode) -> None:
    node.post("auth/userpass/users/bob", RIGHT)
    for _ in range(5):
        log_in(node, "wrong")
    assert log_in(node, "right", "bob") == 200


def test_an_unknown_user_is_locked_like_a_known_one(node: TokenNode) -> None:
    assert [log_in(node, "wrong", "nobody") for _ in range(6)] == [400] * 5 + [403]


def test_a_case_of_letters_is_no_way_around(node: TokenNode) -> None:
    for name in ("alice", "Alice", "ALICE", "aLICE", "alicE"):
        log_in(node, "wrong", name)
    assert log_in(node, "right") == 403


def test_the_mount_says_how(node: TokenNode) -> None:
    tune = {"user_lockout_config": {"lockout_threshold": "2", "lockout_duration": "10s", "lockout_counter_reset_duration": "5s"}}
    assert node.post("sys/auth/userpass/tune", tune).status == 204
    assert [log_in(node, "wrong") for _ in range(2)] == [400] * 2
    assert log_in(node, "right") == 403
    node.advance(10)
    assert log_in(node, "right") == 200
    assert node.post("sys/auth/userpass/tune", {"user_lockout_config": {"lockout_disable": True}}).status == 204
    assert [log_in(node, "wrong") for _ in range(9)] == [400] * 9


def test_what_is_not_tuned_is_as_configured(node: TokenNode) -> None:
    configured = UserLockout(threshold=2, duration_s=60, counter_reset_s=60)
    node.access.defaults = Defaults(lockouts={"userpass": configured})
    tune = {"user_lockout_config": {"lockout_duration": "10s", "lockout_counter_reset_duration": "system"}}
    assert node.post("sys/auth/userpass/tune", tune).status == 204
    assert [log_in(node, "wrong") for _ in range(2)] == [400] * 2
    assert log_in(node, "right") == 403
    node.advance(10)
    assert log_in(node, "right") == 200
    node.access.defaults = Defaults(lockouts={"userpass": UserLockout(disable=True)})
    assert [log_in(node, "wrong") for _ in range(9)] == [400] * 9


def test_methods_that_vault_does_not_lock_are_not_locked(node: TokenNode) -> None:
    for _ in range(9):
        assert node.post("auth/contract/login/bob", {"fail": True}, token=None).status == 400
    assert node.post("auth/contract/login/bob", {}, token=None).status == 200


def test_a_lock_goes_when_its_time_has_passed(node: TokenNode) -> None:
    for _ in range(5):
        log_in(node, "wrong")
    assert node.run_due() == 0
    node.advance(900)
    assert node.run_due() == 1
    assert node.keys("core/lock/") == node.keys("core/due/") == ()


def test_counts_are_bounded() -> None:
    counts = Failures()
    for number in range(LOCKOUT_COUNTERS_MAX + 10):
        counts.add(f"alias{number}", Millis(0), reset_ms=1_000)
    assert len(counts) == LOCKOUT_COUNTERS_MAX
    assert counts.add("alias0", Millis(1), reset_ms=1_000) == 1              # forgotten, for it failed longest ago
    assert counts.add(f"alias{LOCKOUT_COUNTERS_MAX}", Millis(1), reset_ms=1_000) == 2
