"""Userpass."""
import bcrypt
import pytest
from tests.contract.runner import Runner

from holdfast.auth import USERPASS
from holdfast.auth.userpass import renew
from holdfast.engine import Given, Place, Renewal, TokenType
from holdfast.errors import BadRequest, UnsupportedPath
from holdfast.limits import TOKEN_TEXTS_MAX

EMPTY = {"token_bound_cidrs": [], "token_explicit_max_ttl": 0, "token_max_ttl": 0, "token_no_default_policy": False, "token_num_uses": 0,
         "token_period": 0, "token_policies": [], "token_ttl": 0, "token_type": "default"}


@pytest.fixture
def userpass() -> Runner:
    return Runner(USERPASS)


def cheap(password: bytes) -> str:
    """A hash that costs a test nothing."""
    return bcrypt.hashpw(password, bcrypt.gensalt(4)).decode()


def test_a_user_logs_in(userpass: Runner) -> None:
    made = userpass.post("users/Alice", {"password": "hunter2", "token_policies": "dev, ops", "token_ttl": "1h"})
    assert (made.status, made.heavy_calls) == (204, 1)
    done = userpass.post("login/aLICE", {"password": "hunter2"})
    assert done.heavy_calls == 1
    assert done.login is not None
    assert (done.login.alias, done.login.display_name, done.login.metadata) == ("alice", "alice", {"username": "alice"})
    assert (done.login.token.policies, done.login.token.ttl_s, done.login.token.type) == (("dev", "ops"), 3600, TokenType.DEFAULT)


def test_the_alias_of_a_login_is_the_lower_case_name() -> None:
    op = next(op for route in USERPASS.routes if route.pattern == "login/:username" for op in route.ops.values())
    assert op.bind(Given({"username": "Alice"}, {}, b'{"password":"x"}')).alias == "alice"
    assert op.public


@pytest.mark.parametrize("path", ["login/alice", "login/nobody"])
def test_a_wrong_password_and_an_unknown_user_look_alike(userpass: Runner, path: str) -> None:
    userpass.post("users/alice", {"password": "hunter2"})
    answered = userpass.post(path, {"password": "wrong"}, place=Place.WORKER)
    assert (answered.status, answered.errors, answered.heavy_calls) == (400, ("invalid username or password",), 1)


def test_a_login_without_password_is_not_checked(userpass: Runner) -> None:
    answered = userpass.post("login/alice", {})
    assert (answered.status, answered.errors, answered.heavy_calls) == (400, ("missing password",), 0)


@pytest.mark.parametrize(("body", "error"), [
    ({}, "missing password"), ({"password": ""}, "missing password"), ({"password": "x" * 73}, "password length exceeds 72 bytes"),
    ({"password": "é" * 37}, "password length exceeds 72 bytes"),
    ({"password": "a", "password_hash": cheap(b"a")}, "only one of password or password_hash may be provided"),
    ({"password_hash": "plain"}, "password_hash is not a valid bcrypt hash"),
    ({"password_hash": cheap(b"a")[:-1]}, "password_hash is not a valid bcrypt hash"),
    ({"password_hash": "$2b$15$" + "a" * 53}, "password_hash: a bcrypt cost of 15 is not between 4 and 14"),
    ({"password_hash": "$2b$03$" + "a" * 53}, "password_hash: a bcrypt cost of 3 is not between 4 and 14"),
])
def test_passwords_that_are_refused(userpass: Runner, body: dict[str, str], error: str) -> None:
    answered = userpass.post("users/alice", body)
    assert (answered.status, answered.errors, answered.changes) == (400, (error,), {})
    assert not any(len(value) > 5 and value in "".join(answered.errors) for value in body.values())


@pytest.mark.parametrize("kind", ["2a", "2b", "2y"])
def test_a_hash_made_elsewhere_is_taken(userpass: Runner, kind: str) -> None:
    text = "$" + kind + cheap(b"s3cret")[3:]
    assert userpass.post("users/alice", {"password_hash": text}).status == 204
    assert userpass.post("login/alice", {"password": "s3cret"}).login is not None
    assert userpass.post("login/alice", {"password": "other"}).login is None


def test_a_password_is_checked_as_far_as_bcrypt_sees(userpass: Runner) -> None:
    userpass.post("users/alice", {"password_hash": cheap(b"x" * 72)})
    assert userpass.post("login/alice", {"password": "x" * 90}).login is not None
    assert userpass.post("login/alice", {"password": "x" * 71}).login is None


def test_neither_password_nor_hash_is_shown_or_kept(userpass: Runner) -> None:
    userpass.post("users/alice", {"password": "hunter2"})
    assert userpass.get("users/alice").data == EMPTY
    reader = userpass.replica.open()
    assert not any(b"hunter2" in (reader.get(key) or b"") for key in reader.keys(""))


def test_hashing_waits_for_the_active_node(userpass: Runner) -> None:
    """A write in any case: it is forwarded before the work, or the work would be done twice."""
    answered = userpass.post("users/alice", {"password": "hunter2"}, place=Place.WORKER)
    assert answered.need is not None
    assert answered.heavy_calls == 0


def test_users_are_listed_read_and_deleted(userpass: Runner) -> None:
    assert (userpass.list("users").status, userpass.get("users/bob").status) == (404, 404)
    for name in ("bob", "Alice"):
        userpass.post(f"users/{name}", {"password_hash": cheap(b"a")})
    assert userpass.list("users").data == userpass.list("users/").data == {"keys": ["alice", "bob"]}
    assert userpass.exists("users/ALICE")
    assert not userpass.exists("users/carol")
    assert userpass.delete("users/ALICE").status == 204
    assert userpass.delete("users/alice").status == 204
    assert userpass.list("users").data == {"keys": ["bob"]}


@pytest.mark.parametrize("name", ["a b", "-a", "a-", "a@b", "é", ".", "a" * 513])
def test_names_that_no_user_has(userpass: Runner, name: str) -> None:
    for answered in (userpass.get(f"users/{name}"), userpass.post(f"users/{name}", {"password": "x"}),
                     userpass.post(f"login/{name}", {"password": "x"})):
        assert (answered.status, answered.errors) == (404, UnsupportedPath().messages)


@pytest.mark.parametrize("name", ["a", "a.b", "a-b_c", "1", "_"])
def test_names_that_users_have(userpass: Runner, name: str) -> None:
    assert userpass.post(f"users/{name}", {"password_hash": cheap(b"a")}).status == 204


def test_a_change_leaves_what_is_not_sent(userpass: Runner) -> None:
    userpass.post("users/alice", {"password_hash": cheap(b"a"), "token_ttl": 60, "token_policies": ["dev"], "token_num_uses": 3})
    userpass.post("users/alice", {"token_ttl": "2m"})
    assert userpass.get("users/alice").data == {**EMPTY, "token_ttl": 120, "token_policies": ["dev"], "token_num_uses": 3}
    assert userpass.post("login/alice", {"password": "a"}).login is not None
    userpass.post("users/alice", {"token_policies": [], "token_num_uses": 0})
    assert userpass.get("users/alice").data == {**EMPTY, "token_ttl": 120}


def test_a_password_is_changed(userpass: Runner) -> None:
    userpass.post("users/alice", {"password_hash": cheap(b"old"), "token_ttl": 60})
    assert userpass.post("users/alice/password", {"password": "new"}).status == 204
    assert userpass.post("login/alice", {"password": "old"}).login is None
    done = userpass.post("login/alice", {"password": "new"})
    assert done.login is not None
    assert done.login.token.ttl_s == 60
    assert userpass.post("users/alice/password", {}).errors == ("missing password",)
    assert userpass.post("users/bob/password", {"password": "x"}).errors == ("username does not exist",)


def test_policies_are_changed(userpass: Runner) -> None:
    userpass.post("users/alice", {"password_hash": cheap(b"a")})
    assert userpass.post("users/alice/policies", {"policies": "dev,ops"}).status == 204
    assert userpass.get("users/alice").data == {**EMPTY, "token_policies": ["dev", "ops"], "policies": ["dev", "ops"]}
    userpass.post("users/alice/policies", {"token_policies": ["dev"]})
    assert userpass.get("users/alice").data == {**EMPTY, "token_policies": ["dev"]}
    assert userpass.post("users/alice/policies", {}).changes == {}
    assert userpass.post("users/bob/policies", {"token_policies": "dev"}).errors == ("username does not exist",)


@pytest.mark.parametrize(("path", "body"), [("users/alice/policies", {"token_policies": ["Ops", "dev", "ops"]}),
                                            ("users/alice/policies", {"policies": "Ops,dev"}), ("users/alice", {"policies": "Ops,dev"})])
def test_policies_set_alone_or_by_their_old_name_are_put_in_order(userpass: Runner, path: str, body: dict[str, object]) -> None:
    userpass.post("users/alice", {"password_hash": cheap(b"a")})
    assert userpass.post(path, body).status == 204
    assert userpass.get("users/alice").data["token_policies"] == ["dev", "ops"]
    userpass.post("users/alice", {"token_policies": ["Ops", "dev"]})
    assert userpass.get("users/alice").data["token_policies"] == ["Ops", "dev"]


@pytest.mark.parametrize(("path", "field"), [("users/alice", "policies"), ("users/alice", "token_policies"),
                                             ("users/alice/policies", "policies"), ("users/alice/policies", "token_policies")])
def test_policies_that_no_token_can_have(userpass: Runner, path: str, field: str) -> None:
    """They were taken, a second of everybody's time; then no login of the user worked."""
    userpass.post("users/alice", {"password_hash": cheap(b"a")})
    names = ["p" * 64] * (TOKEN_TEXTS_MAX // 64)
    assert userpass.post(path, {field: names}).status == 204
    refused = userpass.post(path, {field: [*names, "q"]})
    assert (refused.status, refused.changes) == (400, {})
    assert refused.errors == (f"the policies of a token have at most {TOKEN_TEXTS_MAX} characters together",)


@pytest.mark.parametrize(("address", "status"), [("10.1.2.3", 200), ("192.0.2.1", 200), ("192.0.2.2", 403), ("::ffff:10.0.0.1", 200),
                                                 ("::1", 403)])
def test_a_login_from_elsewhere_is_denied(userpass: Runner, address: str, status: int) -> None:
    userpass.post("users/alice", {"password_hash": cheap(b"a"), "token_bound_cidrs": "10.0.0.0/8,192.0.2.1"})
    assert userpass.post("login/alice", {"password": "a"}, address=address).status == status


class TestRenewal:
    def renewed(self, userpass: Runner, policies: tuple[str, ...]) -> int:
        txn = userpass.below(Place.WORKER)
        return renew(txn, Renewal(alias="alice", policies=policies, internal={}, metadata={"username": "alice"}),
                     userpass.context(txn)).ttl_s

    def test_takes_the_settings_as_they_are_now(self, userpass: Runner) -> None:
        userpass.post("users/alice", {"password_hash": cheap(b"a"), "token_policies": "dev,Ops", "token_ttl": 60})
        userpass.post("users/alice", {"token_ttl": 90})
        assert self.renewed(userpass, ("default", "dev", "ops")) == 90

    def test_is_refused_when_the_policies_have_changed(self, userpass: Runner) -> None:
        userpass.post("users/alice", {"password_hash": cheap(b"a"), "token_policies": "dev"})
        with pytest.raises(BadRequest, match="policies have changed, not renewing"):
            self.renewed(userpass, ("dev", "ops"))

    def test_is_refused_when_the_user_has_gone(self, userpass: Runner) -> None:
        with pytest.raises(BadRequest, match="no longer exists"):
            self.renewed(userpass, ("dev",))
