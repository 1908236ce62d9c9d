import copy
import pickle

import msgspec
import pytest

from holdfast.crypto import Secret

CANARY = b"canary-5d1f"


class Frame(msgspec.Struct):
    token: Secret | None


def test_no_representation_shows_the_bytes() -> None:
    secret = Secret(CANARY)
    shown = f"{secret!r} {secret!s} {secret} {[secret]} {Frame(secret)!r} {secret.__rich_repr__()}"
    assert "canary" not in shown


def test_equality_is_by_value_and_only_with_secrets() -> None:
    assert Secret(b"a") == Secret(b"a")
    assert not Secret(b"a") != Secret(b"a")  # noqa: SIM202 - the operator itself
    assert Secret(b"a") != Secret(b"b")
    assert Secret(b"a") != Secret(b"")
    assert Secret(b"a") != b"a"


def test_a_secret_is_no_key_of_a_dict() -> None:
    with pytest.raises(TypeError):
        hash(Secret(b"a"))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_secret_is_not_pickled(protocol: int) -> None:
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(Secret(CANARY), protocol=protocol)


def test_a_secret_is_not_pickled_inside_a_record() -> None:
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(Frame(Secret(CANARY)))


def test_a_secret_is_not_copied_deeply() -> None:
    with pytest.raises(TypeError, match="not pickled"):
        copy.deepcopy(Secret(CANARY))


def test_a_secret_is_immutable() -> None:
    with pytest.raises(AttributeError):
        Secret(b"a").value = b"b"  # type: ignore[misc]


@pytest.mark.parametrize("token", [Secret(b"\x00\xff"), None])
def test_a_secret_travels_in_a_frame(token: Secret | None) -> None:
    frame = msgspec.msgpack.encode(Frame(token))
    assert msgspec.msgpack.decode(frame, type=Frame).token == token
