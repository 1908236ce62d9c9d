"""KV version 1."""
import pytest
from tests.contract.runner import Runner

from holdfast.engine import Method, Place
from holdfast.limits import SECRET_PATH_MAX_BYTES
from holdfast.secrets import KV_V1


@pytest.fixture
def kv() -> Runner:
    return Runner(KV_V1)


def test_a_value_comes_back_as_it_was_written(kv: Runner) -> None:
    assert kv.post("a/b", b'{ "n": 1.10,\n "big": 12345678901234567890123, "o": {"x": [1e5, null]}, "s": "\\u00e9" }').status == 204
    found = kv.get("a/b")
    assert found.status == 200
    assert found.body == b'{"n":1.10,"big":12345678901234567890123,"o":{"x":[1e5,null]},"s":"\\u00e9"}'
    assert found.lease is not None
    assert (found.lease.id, found.lease.duration_s, found.lease.renewable) == ("", 2_764_800, False)


@pytest.mark.parametrize(("body", "ttl_s"), [
    (b'{"ttl":"1h30m"}', 5400), (b'{"ttl":60}', 60), (b'{"lease":"15s"}', 15), (b'{"ttl":"5s","lease":"9s"}', 5), (b'{"ttl":"soon"}',
                                                                                                                   2_764_800),
    (b'{"ttl":-5}', 2_764_800), (b'{"ttl":0}', 2_764_800), (b'{"ttl":{"a":1}}', 2_764_800), (b'{"ttl":null}',
                                                                                             2_764_800), (b'{"ttl":"9"}', 9),
])
def test_a_ttl_in_the_data_is_shown_as_the_lease_duration(kv: Runner, body: bytes, ttl_s: int) -> None:
    kv.post("a", body)
    found = kv.get("a")
    assert found.lease is not None
    assert found.lease.duration_s == ttl_s
    assert found.warnings == ()


def test_a_ttl_above_the_mounts_is_capped_with_a_warning(kv: Runner) -> None:
    kv.post("a", {"ttl": "9999h"})
    found = kv.get("a")
    assert found.lease is not None
    assert found.lease.duration_s == 2_764_800
    assert found.warnings == ('TTL of "9999h" exceeded the effective max_ttl of "768h"; TTL value is capped accordingly',)


def test_what_is_missing_is_404_with_an_empty_list(kv: Runner) -> None:
    for answered in (kv.get("a"), kv.list(""), kv.list("a"), kv.get("")):
        assert (answered.status, answered.errors, answered.warnings) == (404, (), ())
    assert kv.delete("a").status == 204


@pytest.mark.parametrize("body", [b"", b"{}", b"  { } "])
def test_a_write_without_fields_is_refused(kv: Runner, body: bytes) -> None:
    answered = kv.post("a", body)
    assert (answered.status, answered.errors, answered.changes) == (400, ("missing data fields",), {})


@pytest.mark.parametrize("body", [b"[1]", b'"a"', b"{", b'{"a":"\xff"}', b'{"\xff":1}', b'{"a":1}x', b"{" * 5000, b'{"a":' * 5000,
                                  b"null", b"nul"])
def test_a_body_that_is_no_json_object_is_refused(kv: Runner, body: bytes) -> None:
    answered = kv.post("a", body)
    assert answered.status == 400
    assert len(answered.errors) == 1
    assert not answered.changes


def test_a_folder_cannot_be_written(kv: Runner) -> None:
    assert kv.post("a/", {"a": 1}).errors == ("cannot write to a path ending in '/'",)
    assert kv.post("", {"a": 1}).status == 400
    assert kv.keys() == ()


def test_a_path_too_long_is_refused_and_reads_as_missing(kv: Runner) -> None:
    longest = "é" * (SECRET_PATH_MAX_BYTES // 2)
    assert kv.post(longest, {"a": 1}).status == 204
    assert kv.get(longest).status == 200
    answered = kv.post(longest + "x", {"a": 1})
    assert answered.status == 400
    assert str(SECRET_PATH_MAX_BYTES) in answered.errors[0]
    for method in (Method.GET, Method.LIST):
        assert kv.call(method, longest + "x").status == 404
    assert kv.delete(longest + "x").status == 204


def test_folders_are_listed_with_a_slash(kv: Runner) -> None:
    for path in ("a", "a/b", "a/c/d", "e"):
        kv.post(path, {"v": 1})
    assert kv.list("").data == {"keys": ["a", "a/", "e"]}
    assert kv.list("a").data == kv.list("a/").data == {"keys": ["b", "c/"]}
    kv.delete("e")
    assert kv.list("").data == {"keys": ["a", "a/"]}


def test_a_name_given_twice_is_kept_once_with_its_last_value(kv: Runner) -> None:
    kv.post("a", b'{"role":"one","role":"two"}')
    assert kv.get("a").body == b'{"role":"two"}'


def test_create_and_update_are_told_apart(kv: Runner) -> None:
    assert not kv.exists("a")
    kv.post("a", {"v": 1})
    assert kv.exists("a")


def test_at_a_worker_reads_are_answered_and_writes_leave(kv: Runner) -> None:
    kv.post("a", {"v": 1})
    assert kv.get("a", place=Place.WORKER).status == 200
    assert kv.post("b", {}, place=Place.WORKER).status == 400
    for left in (kv.post("b", {"v": 1}, place=Place.WORKER), kv.delete("a", place=Place.WORKER)):
        assert left.need is not None
        assert left.need.place is Place.ACTIVE
