"""Cubbyhole: each token sees its own."""
import pytest
from msgspec.structs import replace
from tests.contract.runner import Runner, service_token

from holdfast.engine import Method
from holdfast.secrets import CUBBYHOLE
from holdfast.secrets.cubbyhole import key

ONE, OTHER = service_token("1" * 64), service_token("2" * 64)


@pytest.fixture
def cubbyhole() -> Runner:
    return Runner(CUBBYHOLE)


def test_a_token_sees_its_own_alone(cubbyhole: Runner) -> None:
    assert cubbyhole.post("a/b", b'{"n": 1.10}', token=ONE).status == 204
    assert cubbyhole.get("a/b", token=ONE).body == b'{"n":1.10}'
    assert cubbyhole.get("a/b", token=ONE).lease is None
    assert cubbyhole.list("", token=ONE).data == {"keys": ["a/"]}
    assert cubbyhole.list("a", token=ONE).data == {"keys": ["b"]}
    for answered in (cubbyhole.get("a/b", token=OTHER), cubbyhole.list("", token=OTHER), cubbyhole.list("a", token=OTHER)):
        assert (answered.status, answered.errors) == (404, ())
    assert cubbyhole.delete("a/b", token=OTHER).status == 204
    assert cubbyhole.get("a/b", token=ONE).status == 200
    assert cubbyhole.delete("a/b", token=ONE).status == 204
    assert cubbyhole.get("a/b", token=ONE).status == 404


def test_its_keys_stand_below_the_tokens_id(cubbyhole: Runner) -> None:
    cubbyhole.post("a", {"v": 1}, token=ONE)
    assert cubbyhole.keys() == (key(ONE.id, "a"),) == ("1" * 64 + "/a",)


def test_a_wrapped_answer_can_be_read_by_its_token(cubbyhole: Runner) -> None:
    cubbyhole.replica.seed({cubbyhole.mount.prefix + key(ONE.id, "response"): b'{"response":"{}"}'})
    assert cubbyhole.get("response", token=ONE).data == {"response": "{}"}
    assert cubbyhole.get("response", token=ONE).warnings == ()
    warning, = cubbyhole.get("response", token=replace(ONE, policies=("response-wrapping",))).warnings
    assert warning.startswith("Reading from 'cubbyhole/response' is deprecated.")


@pytest.mark.parametrize("method", [Method.GET, Method.LIST, Method.POST, Method.DELETE])
def test_batch_tokens_are_refused(cubbyhole: Runner, method: Method) -> None:
    answered = cubbyhole.call(method, "a", {"v": 1} if method is Method.POST else None, token=service_token(""))
    assert (answered.status, answered.errors) == (400, ('cubbyhole operations are only supported by "service" type tokens',))


def test_writes_are_refused_as_in_kv(cubbyhole: Runner) -> None:
    assert cubbyhole.post("a", {}).errors == ("missing data fields",)
    assert cubbyhole.post("a/", {"v": 1}).errors == ("cannot write to a path ending in '/'",)
    assert cubbyhole.post("", {"v": 1}).status == 400
    assert cubbyhole.get("").errors == ("missing path",)
    assert cubbyhole.post("a", b"[]").status == 400
