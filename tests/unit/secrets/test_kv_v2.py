"""KV version 2: values and their versions."""
import json

import pytest
from tests.contract.runner import START_MS, Runner

from holdfast.engine import Method, Place
from holdfast.limits import KV_DISCARD_INLINE_MAX, KV_VERSIONS_MAX
from holdfast.secrets import KV_V1, KV_V2

START = "2023-11-14T22:13:20Z"
NO_VERSIONS: tuple[object, ...] = ("x", 1.5, [], {}, '"', "null")


@pytest.fixture
def kv() -> Runner:
    return Runner(KV_V2)


def put(kv: Runner, path: str, *values: object) -> None:
    for value in values:
        assert kv.post(f"data/{path}", {"data": {"v": value}}).status == 200


def test_a_write_answers_with_its_version_and_a_read_with_both(kv: Runner) -> None:
    kv.now_ms = START_MS + 120
    made = {"created_time": "2023-11-14T22:13:20.12Z", "custom_metadata": None, "deletion_time": "", "destroyed": False, "version": 1}
    written = kv.post("data/a/b", b'{"data": { "n": 1.10, "x": [1, 2] }}')
    assert (written.status, written.data, written.lease) == (200, made, None)
    found = kv.get("data/a/b")
    assert found.body == b'{"data":{"n":1.10,"x":[1,2]},"metadata":' + written.body + b"}"
    assert list(found.data["metadata"]) == sorted(made)


def test_versions_are_read_by_number(kv: Runner) -> None:
    put(kv, "a", 1, 2, 3)
    for number, value in ((0, 3), (1, 1), (2, 2), (3, 3)):
        found = kv.get("data/a", query={"version": str(number)}).data
        assert (found["data"], found["metadata"]["version"]) == ({"v": value}, number or 3)
    for missing in ("4", "99999999999"):
        assert (kv.get("data/a", query={"version": missing}).status, kv.get("data/a", query={"version": missing}).errors) == (404, ())
    assert kv.get("data/a", query={"version": "-1"}).data == kv.get("data/a").data
    assert kv.get("data/a", query={"version": ""}).data == kv.get("data/a").data, "as if it had not been sent"
    assert kv.get("data/none").status == 404


@pytest.mark.parametrize(("body", "error"), [
    (None, "no data provided"), ({}, "no data provided"), ({"options": {"cas": 0}}, "no data provided"),
    ({"data": {}, "options": {"cas": 1}}, "check-and-set parameter did not match the current version"),
    ({"data": {}, "options": {"cas": -1}}, "check-and-set parameter did not match the current version"),
    ({"data": {}, "options": {"cas": True}}, "check-and-set parameter did not match the current version"),
    *(({"data": {}, "options": {"cas": cas}}, "error parsing check-and-set parameter") for cas in NO_VERSIONS),
])
def test_a_write_that_is_refused_changes_nothing(kv: Runner, body: object, error: str) -> None:
    answered = kv.post("data/a", body)
    assert (answered.status, answered.errors, answered.changes) == (400, (error,), {})


@pytest.mark.parametrize("body", [{"data": "a"}, {"data": [1]}, {"data": 5}, {"data": {}, "options": 5}, {"data": {},
                                                                                                          "options": {"cas": "x"}},
                                  b'{"data":{"a":"\xff"}}', b'{"data":' + b'{"a":' * 5000, b"[]", b"{"])
def test_bad_fields_are_refused(kv: Runner, body: object) -> None:
    answered = kv.post("data/a", body)
    assert (answered.status, answered.changes, len(answered.errors)) == (400, {}, 1)


def test_paths_that_cannot_be_written(kv: Runner) -> None:
    for path in ("data/a/", "metadata/a/"):
        assert kv.post(path, {"data": {}, "max_versions": 1}).errors == ("cannot write to a path ending in '/'",)
    assert kv.post("data/", {"data": {}}).status == 400


@pytest.mark.parametrize("cas", [0, "0", "", None, False, "0x0"])
def test_check_and_set_is_read_weakly(kv: Runner, cas: object) -> None:
    assert kv.post("data/a", {"data": {}, "options": {"cas": cas}}).status == 200
    assert kv.post("data/a", {"data": {}, "options": {"cas": cas}}).errors == (
        "check-and-set parameter did not match the current version",)


def test_an_empty_list_is_an_object_without_members(kv: Runner) -> None:
    """As clients written in PHP send one."""
    assert kv.post("data/a", {"data": [], "options": []}).status == 200
    assert kv.get("data/a").data["data"] == {}
    assert kv.patch("data/a", {"data": [], "options": None}).status == 200
    assert kv.post("metadata/a", {"custom_metadata": []}).status == kv.patch("metadata/a", {"custom_metadata": []}).status == 204


def test_a_value_may_be_null(kv: Runner) -> None:
    assert kv.post("data/a", {"data": None}).status == 200
    assert (kv.get("data/a").status, kv.get("data/a").data["data"]) == (200, None)
    assert kv.get("subkeys/a").data["subkeys"] is None
    assert kv.patch("data/a", {"data": None}).errors == ("no data provided",)
    assert kv.patch("data/a", {"data": {"v": 1, "w": None}}).status == 200
    assert kv.get("data/a").data["data"] == {"v": 1}


def test_check_and_set(kv: Runner) -> None:
    assert kv.post("data/a", {"data": {}, "options": {"cas": 0}}).status == 200
    assert kv.post("data/a", {"data": {}, "options": {"cas": 0}}).status == 400
    assert kv.post("data/a", {"data": {}, "options": {"cas": None}}).status == 400     # a null counts as 0
    assert kv.post("data/a", {"data": {}, "options": {"cas": "1"}}).status == 200
    assert kv.post("data/a", {"data": {}}).data["version"] == 3
    for path, body in (("config", {"cas_required": True}), ("metadata/a", {"cas_required": "true"})):
        assert kv.post(path, body).status == 204
        answered = kv.post("data/a", {"data": {}})
        assert (answered.status, answered.errors) == (400, ("check-and-set parameter required for this call",))
        kv.post("config", {"cas_required": False})
    assert kv.post("data/a", {"data": {}, "options": {"cas": 3}}).status == 200


def test_a_failed_check_and_set_is_final_at_a_worker(kv: Runner) -> None:
    put(kv, "a", 1)
    assert kv.post("data/a", {"data": {}, "options": {"cas": 0}}, place=Place.WORKER).status == 400
    left = kv.post("data/a", {"data": {}, "options": {"cas": 1}}, place=Place.WORKER)
    assert left.need is not None


def test_the_oldest_versions_make_room(kv: Runner) -> None:
    put(kv, "a", *range(1, 12))
    assert kv.get("data/a", query={"version": "1"}).status == 404
    found = kv.get("metadata/a").data
    assert (found["current_version"], found["oldest_version"]) == (11, 2)
    assert list(found["versions"]) == [str(number) for number in range(2, 12)]
    assert len(kv.keys("value/")) == 10


@pytest.mark.parametrize("where", ["config", "metadata/a"])
def test_the_larger_of_both_max_versions_counts(kv: Runner, where: str) -> None:
    kv.post("config", {"max_versions": 2})
    kv.post("metadata/a", {"max_versions": 2})
    kv.post(where, {"max_versions": 3})
    put(kv, "a", 1, 2, 3, 4)
    assert list(kv.get("metadata/a").data["versions"]) == ["2", "3", "4"]


def test_fewer_versions_allowed_are_dropped_at_the_next_write(kv: Runner) -> None:
    put(kv, "a", *range(9))
    kv.post("metadata/a", {"max_versions": 2})
    assert len(kv.get("metadata/a").data["versions"]) == 9
    put(kv, "a", 9)
    found = kv.get("metadata/a").data
    assert (list(found["versions"]), found["oldest_version"]) == (["9", "10"], 9)
    assert len(kv.keys("value/")) == 2


def test_a_deleted_version_is_404_with_its_metadata(kv: Runner) -> None:
    put(kv, "a", 1, 2)
    kv.now_ms += 1500
    assert kv.delete("data/a").status == 204
    gone = kv.get("data/a")
    assert (gone.status, gone.errors) == (404, ())
    assert gone.data == {"data": None, "metadata": {"created_time": START, "custom_metadata": None,
                                                    "deletion_time": "2023-11-14T22:13:21.5Z", "destroyed": False, "version": 2}}
    assert kv.get("data/a", query={"version": "1"}).status == 200
    again = kv.delete("data/a")
    assert (again.status, again.changes) == (204, {})
    assert kv.delete("data/none").status == 204
    assert kv.post("undelete/a", {"versions": [2]}).status == 204
    assert kv.get("data/a").data["metadata"]["deletion_time"] == ""


@pytest.mark.parametrize("versions", [[1, 2], ["1", "2"], "1,2", "1, 2", [1.0, 2]])
def test_versions_are_deleted_and_undeleted_by_number(kv: Runner, versions: object) -> None:
    put(kv, "a", 1, 2, 3)
    assert kv.post("delete/a", {"versions": versions}).status == 204
    assert [kv.get("data/a", query={"version": str(number)}).status for number in (1, 2, 3)] == [404, 404, 200]
    assert kv.post("undelete/a", {"versions": versions}).status == 204
    assert [kv.get("data/a", query={"version": str(number)}).status for number in (1, 2, 3)] == [200, 200, 200]


@pytest.mark.parametrize("operation", ["delete", "undelete", "destroy"])
def test_versions_by_number_refuse_and_pass_over(kv: Runner, operation: str) -> None:
    put(kv, "a", 1)
    nothing: tuple[object, ...] = (None, {}, {"versions": []}, {"versions": ""})
    for body in nothing:
        assert kv.post(f"{operation}/a", body).errors == (f"{'n' if operation == 'destroy' else 'N'}o version number provided",)
    for wrong in ("x", [[1]], ["1,x"], {"a": 1}):
        assert kv.post(f"{operation}/a", {"versions": wrong}).status == 400
    for passed in ([7], [0], [-1], "99"):
        answered = kv.post(f"{operation}/a", {"versions": passed})
        assert (answered.status, answered.changes) == (204, {})
    assert kv.post(f"{operation}/none", {"versions": [1]}).status == 204
    assert kv.get("data/a").status == 200


def test_a_destroyed_version_is_gone_for_good(kv: Runner) -> None:
    put(kv, "a", 1, 2)
    kv.delete("data/a")
    assert kv.post("destroy/a", {"versions": [2]}).status == 204
    kv.post("undelete/a", {"versions": [2]})
    gone = kv.get("data/a")
    assert (gone.status, gone.data["data"], gone.data["metadata"]["destroyed"]) == (404, None, True)
    assert len(kv.keys("value/")) == 1
    again = kv.post("destroy/a", {"versions": [2]})
    assert not [key for key in again.changes if "value/" in key]
    put(kv, "a", 3)
    assert kv.get("data/a").data["metadata"]["version"] == 3


def test_many_destroyed_values_go_in_a_job(kv: Runner) -> None:
    kv.post("config", {"max_versions": 2 * KV_DISCARD_INLINE_MAX})
    put(kv, "a", *range(KV_DISCARD_INLINE_MAX + 1))
    kv.post("destroy/a", {"versions": list(range(1, KV_DISCARD_INLINE_MAX + 2))})
    assert kv.get("data/a").status == 404
    assert len(kv.keys("value/")) == KV_DISCARD_INLINE_MAX + 1
    assert kv.run_jobs() == 1
    assert kv.keys("value/") == ()


def test_versions_are_deleted_by_time(kv: Runner) -> None:
    kv.post("config", {"delete_version_after": "10s"})
    kv.post("metadata/short", {"delete_version_after": "5s"})
    kv.post("metadata/long", {"delete_version_after": "1h"})
    for path in ("plain", "short", "long"):
        put(kv, path, 1)
    assert kv.get("data/short").data["metadata"]["deletion_time"] == "2023-11-14T22:13:25Z"
    kv.now_ms += 4_999
    assert [kv.get(f"data/{path}").status for path in ("plain", "short", "long")] == [200, 200, 200]
    kv.now_ms += 1
    assert [kv.get(f"data/{path}").status for path in ("plain", "short", "long")] == [200, 404, 200]
    kv.now_ms += 5_000
    assert [kv.get(f"data/{path}").status for path in ("plain", "short", "long")] == [404, 404, 404]
    kv.post("undelete/short", {"versions": [1]})
    assert kv.get("data/short").data["metadata"]["deletion_time"] == "2023-11-14T22:13:35Z"
    kv.post("config", {"delete_version_after": "-1s"})
    assert kv.get("config").data["delete_version_after"] == "-1s"
    put(kv, "short", 2)
    assert kv.get("data/short").data["metadata"]["deletion_time"] == ""
    kv.post("config", {"delete_version_after": 0})
    put(kv, "short", 3)
    assert kv.get("data/short").data["metadata"]["deletion_time"] != ""


def test_the_mounts_settings(kv: Runner) -> None:
    assert kv.get("config").body == b'{"cas_required":false,"delete_version_after":"0s","max_versions":0}'
    assert kv.post("config", {"max_versions": 5, "cas_required": True, "delete_version_after": "3h25m19s"}).status == 204
    assert kv.get("config").data == {"cas_required": True, "delete_version_after": "3h25m19s", "max_versions": 5}
    assert kv.post("config", {"max_versions": 6}).status == 204
    assert kv.get("config").data == {"cas_required": True, "delete_version_after": "3h25m19s", "max_versions": 6}
    for nothing in (None, {}, {"delete_version_after": None}):
        answered = kv.post("config", nothing)
        assert (answered.status, answered.changes) == (204, {})
    assert kv.post("config", {"max_versions": None, "cas_required": None}).status == 204
    assert kv.get("config").data == {"cas_required": False, "delete_version_after": "3h25m19s", "max_versions": 0}


@pytest.mark.parametrize("body", [{"max_versions": -1}, {"max_versions": KV_VERSIONS_MAX + 1}, {"cas_required": "maybe"},
                                  {"delete_version_after": "soon"}, {"delete_version_after": "9223372037s"},
                                  {"delete_version_after": 1e300},
                                  {"delete_version_after": [1]}, {"max_versions": "many"}])
@pytest.mark.parametrize("path", ["config", "metadata/a"])
def test_settings_that_do_not_fit(kv: Runner, path: str, body: object) -> None:
    answered = kv.post(path, body)
    assert (answered.status, answered.changes) == (400, {})
    assert next(iter(body)) in answered.errors[0]  # type: ignore[call-overload]


def test_a_negative_time_is_for_the_mount_alone(kv: Runner) -> None:
    assert kv.post("metadata/a", {"delete_version_after": "-1s"}).status == 400


def test_subkeys_show_names_without_values(kv: Runner) -> None:
    kv.post("data/a", {"data": {"s": "x", "n": 1.5, "l": [{"in": 1}], "e": {}, "o": {"p": {"q": {"r": 1}}}, "z": None}})
    whole = {"s": None, "n": None, "l": None, "e": None, "o": {"p": {"q": {"r": None}}}, "z": None}
    found = kv.get("subkeys/a").data
    assert found == {"subkeys": whole, "metadata": kv.get("data/a").data["metadata"]}
    for depth, below in (("0", {"p": {"q": {"r": None}}}), ("1", None), ("2", {"p": None}), ("3", {"p": {"q": None}}), ("9", whole["o"])):
        assert kv.get("subkeys/a", query={"depth": depth}).data["subkeys"]["o"] == below
    put(kv, "a", 2)
    assert kv.get("subkeys/a", query={"version": "1"}).data["subkeys"] == whole
    assert kv.get("subkeys/a").data["subkeys"] == {"v": None}
    kv.delete("data/a")
    gone = kv.get("subkeys/a")
    assert (gone.status, gone.data["subkeys"], gone.data["metadata"]["version"]) == (404, None, 2)
    assert kv.get("subkeys/none").status == 404
    assert kv.get("subkeys/a", query={"version": "3"}).status == 404


def test_a_large_value_is_taken_apart_in_the_pool(kv: Runner) -> None:
    kv.post("data/a", {"data": {str(number): "x" * 100 for number in range(4000)}})
    assert kv.get("data/a").heavy_calls == 0
    assert kv.get("subkeys/a").heavy_calls == 1
    patched = kv.patch("data/a", {"data": {"0": None}})
    assert (patched.status, patched.heavy_calls) == (200, 1)
    assert len(kv.get("data/a").data["data"]) == 3999


class TestPatch:
    def test_merges_and_makes_a_version(self, kv: Runner) -> None:
        kv.post("data/a", b'{"data":{"keep":1.10,"drop":1,"deep":{"a":1,"b":2},"big":12345678901234567890123}}')
        answered = kv.patch("data/a", b'{"data":{"drop":null,"deep":{"b":null,"c":[1e5]},"new":2.50}}')
        assert (answered.status, answered.data["version"]) == (200, 2)
        assert kv.get("data/a").body.startswith(b'{"data":{"keep":1.10,"deep":{"a":1,"c":[1e5]},"big":12345678901234567890123,"new":2.50},')
        assert kv.get("data/a", query={"version": "1"}).data["data"]["drop"] == 1

    @pytest.mark.parametrize("content_type", ["application/json", "", "text/plain"])
    def test_needs_its_media_type(self, kv: Runner, content_type: str) -> None:
        put(kv, "a", 1)
        for path in ("data/a", "metadata/a"):
            answered = kv.patch(path, {"data": {}, "max_versions": 1}, content_type=content_type)
            assert (answered.status, answered.changes) == (415, {})
            assert "application/merge-patch+json" in answered.errors[0]

    def test_takes_a_media_type_with_parameters(self, kv: Runner) -> None:
        put(kv, "a", 1)
        assert kv.patch("data/a", {"data": {}}, content_type="Application/Merge-Patch+JSON; charset=utf-8").status == 200

    def test_needs_a_live_version(self, kv: Runner) -> None:
        missing = kv.patch("data/a", {"data": {}})
        assert (missing.status, missing.body, missing.errors) == (404, b"", ())
        kv.post("metadata/a", {"max_versions": 3})
        assert kv.patch("data/a", {"data": {}}).status == 404
        put(kv, "a", 1)
        kv.delete("data/a")
        gone = kv.patch("data/a", {"data": {"v": 2}})
        assert (gone.status, gone.data["version"], gone.data["destroyed"], gone.changes) == (404, 1, False, {})

    def test_needs_data(self, kv: Runner) -> None:
        put(kv, "a", 1)
        for body in (None, {}, {"data": None}):
            assert kv.patch("data/a", body).errors == ("no data provided",)
        assert kv.patch("data/a", {"data": [1]}).status == 400

    def test_checks_and_sets(self, kv: Runner) -> None:
        put(kv, "a", 1)
        assert kv.patch("data/a", {"data": {},
                                   "options": {"cas": 2}}).errors == ("check-and-set parameter did not match the current version",)
        kv.post("metadata/a", {"cas_required": True})
        assert kv.patch("data/a", {"data": {}}).errors == ("check-and-set parameter required for this call",)
        assert kv.patch("data/a", {"data": {}, "options": {"cas": 1}}).status == 200


class TestMetadata:
    def test_reads_all_there_is(self, kv: Runner) -> None:
        put(kv, "a", 1)
        kv.now_ms += 1000
        put(kv, "a", 2)
        assert kv.get("metadata/a").data == {
            "cas_required": False, "created_time": START, "current_version": 2, "custom_metadata": None, "delete_version_after": "0s",
            "max_versions": 0, "oldest_version": 0, "updated_time": "2023-11-14T22:13:21Z",
            "versions": {"1": {"created_time": START, "deletion_time": "", "destroyed": False},
                         "2": {"created_time": "2023-11-14T22:13:21Z", "deletion_time": "", "destroyed": False}}}
        assert kv.get("metadata/none").status == 404

    def test_can_stand_before_the_first_version(self, kv: Runner) -> None:
        assert kv.post("metadata/a", {"max_versions": 4, "custom_metadata": {"owner": "ops", "n": 1.50, "yes": True}}).status == 204
        found = kv.get("metadata/a").data
        assert (found["current_version"], found["versions"], found["max_versions"]) == (0, {}, 4)
        assert found["custom_metadata"] == {"owner": "ops", "n": "1.5", "yes": "1"}
        assert kv.get("data/a").status == 404
        assert kv.exists("data/a")
        put(kv, "a", 1)
        assert kv.get("data/a").data["metadata"]["custom_metadata"] == found["custom_metadata"]

    @pytest.mark.parametrize("body", [None, {}, {"delete_version_after": None}])
    def test_a_write_of_nothing_makes_nothing(self, kv: Runner, body: object) -> None:
        answered = kv.post("metadata/a", body)
        assert (answered.status, answered.changes) == (204, {})

    def test_a_write_sets_what_it_names(self, kv: Runner) -> None:
        kv.post("metadata/a", {"max_versions": 4, "cas_required": True, "delete_version_after": "1h", "custom_metadata": {"a": "1",
                                                                                                                          "b": "2"}})
        kv.post("metadata/a", {"custom_metadata": {"c": "3"}})
        found = kv.get("metadata/a").data
        assert (found["max_versions"], found["cas_required"], found["delete_version_after"]) == (4, True, "1h0m0s")
        assert found["custom_metadata"] == {"c": "3"}
        kv.post("metadata/a", {"custom_metadata": {}})
        assert kv.get("metadata/a").data["custom_metadata"] is None

    def test_a_patch_changes_what_it_names_and_null_removes(self, kv: Runner) -> None:
        kv.post("metadata/a", {"max_versions": 4, "cas_required": True, "delete_version_after": "1h", "custom_metadata": {"a": "1",
                                                                                                                          "b": "2"}})
        assert kv.patch("metadata/a", {"max_versions": None, "custom_metadata": {"a": None, "c": "3", "none": None}}).status == 204
        found = kv.get("metadata/a").data
        assert (found["max_versions"], found["cas_required"], found["delete_version_after"]) == (0, True, "1h0m0s")
        assert found["custom_metadata"] == {"b": "2", "c": "3"}
        kv.patch("metadata/a", {"custom_metadata": None, "cas_required": None, "delete_version_after": None})
        found = kv.get("metadata/a").data
        assert (found["custom_metadata"], found["cas_required"], found["delete_version_after"]) == (None, False, "1h0m0s")
        assert kv.patch("metadata/a", {"delete_version_after": 0}).status == 204
        assert kv.get("metadata/a").data["delete_version_after"] == "0s"
        assert kv.patch("metadata/a", {}).status == 204
        missing = kv.patch("metadata/none", {"max_versions": 1})
        assert (missing.status, missing.body, missing.errors) == (404, b"", ())

    def test_a_write_clears_what_it_names_as_null(self, kv: Runner) -> None:
        kv.post("metadata/a", {"max_versions": 4, "cas_required": True, "delete_version_after": "1h", "custom_metadata": {"a": "1"}})
        kv.post("metadata/a", {"max_versions": None, "cas_required": None, "delete_version_after": None, "custom_metadata": None})
        found = kv.get("metadata/a").data
        assert [found[name] for name in ("max_versions", "cas_required", "delete_version_after", "custom_metadata")] == [
            0, False, "1h0m0s", None]

    @pytest.mark.parametrize("method", [Method.POST, Method.PATCH])
    def test_only_a_version_moves_the_time_of_the_last_update(self, kv: Runner, method: Method) -> None:
        put(kv, "a", 1)
        kv.now_ms += 5000
        kv.call(method, "metadata/a", {"max_versions": 3}, content_type="application/merge-patch+json")
        assert kv.get("metadata/a").data["updated_time"] == START
        put(kv, "a", 2)
        assert kv.get("metadata/a").data["updated_time"] != START

    @pytest.mark.parametrize(("custom", "error"), [
        ({str(n): "x" for n in range(65)}, "payload must contain at most 64 keys, provided 65"),
        ({"": "x"}, 'length of key "" is 0 but must be 0 < len(key) <= 128'),
        ({"k" * 129: "x"}, "is 129 but must be 0 < len(key) <= 128"), ({"é" * 65: "x"}, "is 130 but must be"),
        ({"k": ""}, 'length of value for key "k" is 0 but must be 0 < len(value) <= 512'), ({"k": "v" * 513}, "is 513 but must be"),
        ({"k": None}, "is 0 but must be"), ({"a\nb": "x"}, 'key "a\\nb" (a\nb) contains unprintable characters'),
        ({"k": "a\x00b"}, 'value for key "k" contains unprintable characters'),
        ({"a\"b'": ""}, 'length of value for key "a\\"b\'" is 0'),
    ])
    def test_custom_metadata_have_vaults_limits(self, kv: Runner, custom: object, error: str) -> None:
        answered = kv.post("metadata/a", {"custom_metadata": custom})
        assert (answered.status, answered.changes, len(answered.errors)) == (400, {}, 1)
        assert error in answered.errors[0]
        assert answered.errors[0].startswith("1 error occurred:\n\t* custom_metadata validation failed: ")

    def test_all_that_is_wrong_with_custom_metadata_is_said_in_one_error(self, kv: Runner) -> None:
        said = "custom_metadata validation failed: length of {} is 0 but must be 0 < len({}) <= {}"
        assert kv.post("metadata/a", {"custom_metadata": {"": ""}}).errors == (
            f'2 errors occurred:\n\t* {said.format("key " + chr(34) * 2, "key", 128)}\n\t* '
            f'{said.format("value for key " + chr(34) * 2, "value", 512)}\n\n',)

    @pytest.mark.parametrize(("value", "kind"), [({"a": 1}, "map[string]interface {}"), ([1], "[]interface {}")])
    def test_a_value_of_custom_metadata_is_a_string(self, kv: Runner, value: object, kind: str) -> None:
        answered = kv.post("metadata/a", {"custom_metadata": {"k": value}})
        assert answered.status == 400
        assert answered.errors[0] == f"custom_metadata validation failed: '' expected type 'string', got unconvertible type '{kind}'"

    def test_custom_metadata_at_their_limits_fit(self, kv: Runner) -> None:
        custom = {f"{n:064d}é" * 1: "v" * 512 for n in range(63)} | {"k" * 128: "v"}
        assert kv.post("metadata/a", {"custom_metadata": custom}).status == 204
        assert kv.get("metadata/a").data["custom_metadata"] == custom
        assert kv.patch("metadata/a", {"custom_metadata": {"one more": "x"}}).status == 400
        assert kv.patch("metadata/a", {"custom_metadata": {"one more": "x", "k" * 128: None}}).status == 204

    @pytest.mark.parametrize("wrong", ["a=b", [1], 5])
    def test_custom_metadata_are_an_object(self, kv: Runner, wrong: object) -> None:
        assert kv.post("metadata/a", {"custom_metadata": wrong}).status == 400

    @pytest.mark.parametrize("method", [Method.POST, Method.PATCH])
    def test_cas_that_the_mount_mandates_is_warned_of(self, kv: Runner, method: Method) -> None:
        kv.post("metadata/a", {"max_versions": 1})
        kv.post("config", {"cas_required": True})
        answered = kv.call(method, "metadata/a", {"cas_required": False}, content_type="application/merge-patch+json")
        assert answered.warnings == ('"cas_required" set to false, but is mandated by backend config. This value will be ignored.',)

    def test_deleting_removes_the_secret(self, kv: Runner) -> None:
        put(kv, "a", 1, 2)
        assert kv.delete("metadata/a").status == 204
        assert kv.get("data/a").status == kv.get("metadata/a").status == kv.list("metadata/").status == 404
        assert kv.keys() == ()
        assert kv.delete("metadata/a").status == 204
        put(kv, "a", 3)
        assert kv.get("data/a").data["metadata"]["version"] == 1

    def test_deleting_many_versions_is_a_job_that_spares_a_new_secret_at_the_path(self, kv: Runner) -> None:
        kv.post("config", {"max_versions": KV_VERSIONS_MAX})
        put(kv, "a", *range(2500))
        assert kv.delete("metadata/a").status == 204
        assert kv.get("data/a").status == 404
        put(kv, "a", "new")
        assert kv.run_jobs() == 3
        assert len(kv.keys("value/")) == 1
        assert kv.get("data/a").data["data"] == {"v": "new"}

    def test_lists_secrets_and_folders(self, kv: Runner) -> None:
        for path in ("a", "a/b", "c/d/e"):
            put(kv, path, 1)
        assert kv.list("metadata/").data == kv.list("metadata").data == {"keys": ["a", "a/", "c/"]}
        assert kv.list("metadata/c").data == kv.list("metadata/c/").data == {"keys": ["d/"]}
        assert (kv.list("metadata/none").status, kv.list("metadata/none").errors) == (404, ())
        kv.delete("data/a")
        assert "a" in kv.list("metadata/").data["keys"]


@pytest.mark.parametrize(("method", "path", "says"), [
    (Method.GET, "a", "'kv get'"), (Method.POST, "a/b", "'kv put'"), (Method.LIST, "", "'kv list'"), (Method.DELETE, "a", "'kv delete'"),
    (Method.PATCH, "a", "'kv patch'"), (Method.GET, "data", "Non-listing operations on the root"),
    (Method.GET, "metadata", "Non-listing"), (Method.DELETE, "metadata/", "Non-listing"), (Method.POST, "destroy", "Non-listing"),
])
def test_a_path_of_version_1_is_404_with_a_hint(kv: Runner, method: Method, path: str, says: str) -> None:
    answered = kv.call(method, path, {"v": 1} if method is Method.POST else None)
    assert (answered.status, answered.errors, answered.changes, answered.body) == (404, (), {}, b"")
    assert len(answered.warnings) == 1
    assert says in answered.warnings[0]
    if not says.startswith("Non-listing"):
        assert answered.warnings[0].startswith("Invalid path for a versioned K/V secrets engine")


class TestUpgrade:
    """A mount of version 1 that is tuned to version 2."""

    @pytest.fixture
    def upgraded(self) -> Runner:
        kv = Runner(KV_V1)
        kv.post("a", b'{"n":1.10,"ttl":"5s"}')
        kv.post("b/c", {"v": 1})
        kv.now_ms += 60_000
        kv.use(KV_V2)
        return kv

    def test_old_secrets_read_as_version_1_without_a_write(self, upgraded: Runner) -> None:
        found = upgraded.get("data/a", place=Place.WORKER)
        assert found.data == {"data": {"n": 1.1, "ttl": "5s"}, "metadata": {
            "created_time": START, "custom_metadata": None, "deletion_time": "", "destroyed": False, "version": 1}}
        assert found.body.startswith(b'{"data":{"n":1.10,"ttl":"5s"},')
        assert upgraded.get("metadata/a").data["current_version"] == 1
        assert upgraded.get("subkeys/a").data["subkeys"] == {"n": None, "ttl": None}
        assert upgraded.list("metadata/").data == {"keys": ["a", "b/"]}
        assert upgraded.list("metadata/b").data == {"keys": ["c"]}
        assert upgraded.exists("data/a")

    def test_the_first_write_moves_the_old_value(self, upgraded: Runner) -> None:
        put(upgraded, "a", 2)
        assert upgraded.get("data/a").data["metadata"]["version"] == 2
        assert upgraded.get("data/a", query={"version": "1"}).body.startswith(b'{"data":{"n":1.10,"ttl":"5s"},')
        assert upgraded.keys("v1/") == ("v1/b/c",)
        assert upgraded.list("metadata/").data == {"keys": ["a", "b/"]}

    def test_every_other_change_moves_it_too(self, upgraded: Runner) -> None:
        upgraded.patch("data/a", {"data": {"ttl": None}})
        assert upgraded.get("data/a").data["data"] == {"n": 1.1}
        upgraded.delete("data/b/c")
        assert upgraded.get("data/b/c").status == 404
        upgraded.post("undelete/b/c", {"versions": [1]})
        assert upgraded.get("data/b/c").data["data"] == {"v": 1}
        assert upgraded.keys("v1/") == ()

    def test_check_and_set_knows_version_1(self, upgraded: Runner) -> None:
        assert upgraded.post("data/a", {"data": {}, "options": {"cas": 0}}).status == 400
        assert upgraded.post("data/a", {"data": {}, "options": {"cas": 1}}).status == 200

    @pytest.mark.parametrize("destroy", [True, False])
    def test_it_can_be_destroyed(self, upgraded: Runner, destroy: bool) -> None:
        if destroy:
            upgraded.post("destroy/a", {"versions": [1]})
            assert upgraded.get("data/a").data["metadata"]["destroyed"] is True
        else:
            upgraded.delete("metadata/a")
            assert upgraded.get("data/a").status == upgraded.get("metadata/a").status == 404
        assert upgraded.keys("v1/") == ("v1/b/c",)
        assert upgraded.keys("value/") == ()

    def test_metadata_written_first_keep_the_value(self, upgraded: Runner) -> None:
        upgraded.post("metadata/a", {"custom_metadata": {"k": "v"}})
        found = upgraded.get("data/a").data
        assert (found["data"]["n"], found["metadata"]["custom_metadata"]) == (1.1, {"k": "v"})


def test_a_read_shows_what_changed_meanwhile(kv: Runner) -> None:
    """What is rendered once is rendered anew when its metadata change: also on other paths nothing is mixed up."""
    put(kv, "a", 1)
    put(kv, "b", 1)
    before = kv.get("data/a").body
    put(kv, "b", 2)
    assert kv.get("data/a").body == before
    kv.post("metadata/a", {"custom_metadata": {"k": "v"}})
    assert json.loads(kv.get("data/a").body)["metadata"]["custom_metadata"] == {"k": "v"}
