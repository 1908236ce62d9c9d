"""What an entry shows, and what it never shows."""
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from holdfast.core.audit import entries, probe_line
from holdfast.core.audit_device import AuditDevice, Device, Standing, ready
from holdfast.core.mounts import MountConfig, MountEntry
from holdfast.core.outcome import Exchange
from holdfast.crypto import Secret
from holdfast.engine import Auth, Client, Lease, Method, Mount, Raw, Request, Response, Result, Token, WrapInfo
from holdfast.errors import InvalidToken, PermissionDenied, PolicyDenied
from holdfast.ids import Millis, RequestId

NOW = Millis(1_700_000_000_120)
CANARY = "canary-7c1e"
SALT = b"\x05" * 32
ID = RequestId("0b8e63f2-71b1-4b0a-9e02-8f2d6bb4a1b9")
MOUNT = Mount(uuid="m1", path="secret/", type="kv", accessor="kv_1", default_ttl_s=1, max_ttl_s=1)
ENTRY = MountEntry(uuid="m1", path="secret/", type="kv", accessor="kv_1")
TOKEN = Token(id="ab" * 32, accessor="accessor-1", type="service", display_name="userpass-ann", entity_id="e1",
              policies=("default", "readers"), num_uses=0, expires_ms=None, is_root=False)


def device(name: str = "file", **options: str) -> Device:
    return ready(AuditDevice(uuid=f"uuid-{name}", path=f"{name}/", type="file", accessor="audit_file_1", salt=Secret(SALT),
                             options={"file_path": "discard", **options}))


def request(method: Method = Method.GET, path: str = "secret/data/a", body: bytes = b"", query: Mapping[str, str] | None = None,
            token: str | None = f"hvs.{CANARY}", wrap_ttl_s: int | None = None, origin: str | None = None) -> Request:
    return Request(id=ID, method=method, path=path, body=body, query=query or {}, token=Secret(token.encode()) if token else None,
                   wrap_ttl_s=wrap_ttl_s, client=Client(address="192.0.2.7", port=4711, forwarded_from=origin))


def exchange(asked: Request, result: Result | None = None, *, token: Token | None = TOKEN, errors: tuple[str, ...] = (),
             permitted: bool = True, mount: Mount | None = MOUNT, config: MountConfig | None = None) -> Exchange:
    entry = None if mount is None else msgspec.structs.replace(ENTRY, config=config or MountConfig())
    return Exchange(request=asked, now_ms=NOW, mount=mount, entry=entry, token=token, permitted=permitted, granting=("readers",),
                    result=result, errors=errors)


def lines(told: Exchange, *devices: Device) -> tuple[dict[str, Any], dict[str, Any]]:
    """The two entries of the first device, decoded; each is exactly one line."""
    first = entries(Standing(devices or (device(),)), told)[0]
    for line in (first.request, first.response):
        assert line.endswith(b"}\n")
        assert line.count(b"\n") == 1
    return json.loads(first.request), json.loads(first.response)


def hashed(text: str, salt: bytes = SALT) -> str:
    return "hmac-sha256:" + hmac.new(salt, text.encode(), hashlib.sha256).hexdigest()


def data(value: object) -> Response:
    return Response(data=msgspec.Raw(json.dumps(value).encode()))


def test_a_read_shows_vaults_fields_and_no_others() -> None:
    asked, answered = lines(exchange(request(), data({"data": {"foo": "bar"}, "metadata": {"version": 1}})))
    auth = {
        "client_token": hashed(f"hvs.{CANARY}"), "accessor": hashed("accessor-1"), "display_name": "userpass-ann",
        "policies": ["default", "readers"], "token_policies": ["default", "readers"],
        "policy_results": {"allowed": True, "granting_policies": [{"name": "readers", "namespace_id": "root", "type": "acl"}]},
        "entity_id": "e1", "token_type": "service"}
    block = {
        "id": ID, "client_id": "e1", "operation": "read", "mount_point": "secret/", "mount_type": "kv", "mount_accessor": "kv_1",
        "mount_running_version": asked["request"]["mount_running_version"], "mount_class": "secret",
        "client_token": hashed(f"hvs.{CANARY}"), "client_token_accessor": hashed("accessor-1"), "namespace": {"id": "root"},
        "path": "secret/data/a", "remote_address": "192.0.2.7", "remote_port": 4711}
    assert asked == {"time": "2023-11-14T22:13:20.12Z", "type": "request", "auth": auth, "request": block}
    assert list(asked) == ["time", "type", "auth", "request"]
    assert answered == {
        "time": "2023-11-14T22:13:20.12Z", "type": "response", "auth": auth, "request": block,
        "response": {
            "mount_point": "secret/", "mount_type": "kv", "mount_accessor": "kv_1", "mount_class": "secret",
            "mount_running_plugin_version": block["mount_running_version"],
            "data": {"data": {"foo": hashed("bar")}, "metadata": {"version": 1}}}}


def test_a_write_shows_the_hashes_of_what_was_sent() -> None:
    body = json.dumps({"data": {"a": CANARY, "n": 3, "b": True, "x": None, "l": [CANARY, 1.5, {"y": CANARY}]}, "options": {"cas": 1}})
    asked, answered = lines(exchange(request(Method.POST, body=body.encode()), data({"version": 1})))
    assert asked["request"]["operation"] == "update"
    assert asked["request"]["data"] == answered["request"]["data"] == {
        "data": {"a": hashed(CANARY), "n": 3, "b": True, "x": None, "l": [hashed(CANARY), 1.5, {"y": hashed(CANARY)}]},
        "options": {"cas": 1}}


@pytest.mark.parametrize(
    ("method", "operation", "path"),
    [(Method.GET, "read", "secret/a"), (Method.LIST, "list", "secret/a/"), (Method.POST, "update", "secret/a"),
     (Method.PATCH, "patch", "secret/a"), (Method.DELETE, "delete", "secret/a"), (Method.HELP, "help", "secret/a")],
)
def test_operations_have_vaults_names(method: Method, operation: str, path: str) -> None:
    asked, _ = lines(exchange(request(method, "secret/a")))
    assert (asked["request"]["operation"], asked["request"]["path"]) == (operation, path)


def test_a_write_is_a_creation_only_where_nothing_was_there() -> None:
    """Two writes by one token to one path: what stands ready for the second is not that of the first."""
    standing = Standing((device(),))
    for creates, operation in ((True, "create"), (False, "update"), (True, "create")):
        told = msgspec.structs.replace(exchange(request(Method.POST, body=b"{}")), creates=creates)
        assert json.loads(entries(standing, told)[0].request)["request"]["operation"] == operation


def test_the_query_of_a_read_is_its_data() -> None:
    asked, _ = lines(exchange(request(query={"version": "2", "list": "true"})))
    assert asked["request"]["data"] == {"version": hashed("2")}


def test_names_that_the_mount_exempts_are_shown() -> None:
    config = MountConfig(audit_non_hmac_request_keys=("plain",), audit_non_hmac_response_keys=("shown",))
    body = b'{"plain":["a",["b"],{"inner":"c"}],"shown":"d"}'
    asked, answered = lines(exchange(request(Method.POST, body=body), data({"shown": "e", "plain": "f"}), config=config))
    assert asked["request"]["data"] == {"plain": ["a", ["b"], {"inner": hashed("c")}], "shown": hashed("d")}
    assert answered["response"]["data"] == {"shown": "e", "plain": hashed("f")}


def test_log_raw_shows_everything() -> None:
    asked, answered = lines(exchange(request(Method.POST, body=b'{"a":"b"}'), data({"c": "d"})), device(log_raw="true"))
    assert asked["auth"]["client_token"] == asked["request"]["client_token"] == f"hvs.{CANARY}"
    assert asked["auth"]["accessor"] == "accessor-1"
    assert asked["request"]["data"] == {"a": "b"}
    assert answered["response"]["data"] == {"c": "d"}


def test_accessors_are_shown_where_the_device_says_so() -> None:
    asked, _ = lines(exchange(request()), device(hmac_accessor="false"))
    assert asked["auth"]["accessor"] == asked["request"]["client_token_accessor"] == "accessor-1"
    assert asked["auth"]["client_token"] == hashed(f"hvs.{CANARY}")


def test_a_prefix_stands_before_each_line() -> None:
    entry = entries(Standing((device(prefix="@cee: "),)), exchange(request()))[0]
    assert entry.request.startswith(b'@cee: {"time":"2023')
    assert entry.response.startswith(b'@cee: {"time":"2023')


@pytest.mark.parametrize(("elide", "keys"), [("true", 2), ("false", [hashed("a"), hashed("b")])])
def test_lists_may_be_counted_instead_of_shown(elide: str, keys: object) -> None:
    told = exchange(request(Method.LIST), data({"keys": ["a", "b"], "key_info": {"a": {}}}))
    _, answered = lines(told, device(elide_list_responses=elide))
    assert answered["response"]["data"]["keys"] == keys


def test_only_lists_are_counted() -> None:
    _, answered = lines(exchange(request(), data({"keys": ["a"]})), device(elide_list_responses="true"))
    assert answered["response"]["data"] == {"keys": [hashed("a")]}


def test_a_login_shows_the_hash_of_the_new_token() -> None:
    auth = Auth(client_token=Secret(f"hvs.{CANARY}".encode()), accessor="new", policies=("default",), token_policies=("default",),
                metadata={"username": "ann"}, lease_duration=60, renewable=True, entity_id="e2", token_type="service", orphan=True,
                num_uses=5, display_name="userpass-ann")
    method = msgspec.structs.replace(MOUNT, path="auth/userpass/", type="userpass", is_auth=True)
    told = exchange(request(Method.POST, "auth/userpass/login/ann", body=b'{"password":"canary-7c1e"}', token=None), Response(auth=auth),
                    token=None, mount=method)
    asked, answered = lines(told)
    assert asked["auth"]["token_type"] == "default"
    assert "client_token" not in asked["request"]
    assert asked["request"]["data"] == {"password": hashed(CANARY)}
    new = {
        "client_token": hashed(f"hvs.{CANARY}"), "accessor": hashed("new"), "display_name": "userpass-ann", "policies": ["default"],
        "token_policies": ["default"], "metadata": {"username": "ann"}, "entity_id": "e2", "token_type": "service", "token_ttl": 60,
        "token_issue_time": "2023-11-14T22:13:20Z"}
    assert answered["response"]["auth"] == {**new, "num_uses": 5}
    assert answered["auth"] == {**new, "policy_results": {"allowed": True}}, "of who has logged in: before, nobody was known"
    tokens = msgspec.structs.replace(method, path="auth/token/", type="token")
    made = exchange(request(Method.POST, "auth/token/create"), Response(auth=auth), mount=tokens)
    assert lines(made)[1]["auth"]["accessor"] == hashed("accessor-1"), "of who has asked"


def test_a_wrapped_answer_shows_its_wrapping_alone() -> None:
    wrap = WrapInfo(token=Secret(f"hvs.{CANARY}".encode()), accessor="w", ttl=60, creation_time="t", creation_path="secret/data/a",
                    wrapped_accessor="")
    asked, answered = lines(exchange(request(wrap_ttl_s=60), Response(wrap_info=wrap)))
    assert asked["request"]["wrap_ttl"] == 60
    assert answered["response"]["wrap_info"] == {
        "ttl": 60, "token": hashed(f"hvs.{CANARY}"), "accessor": hashed("w"), "creation_time": "t", "creation_path": "secret/data/a"}


def test_leases_and_warnings_are_shown() -> None:
    response = Response(lease=Lease(id="db/creds/x/1", duration_s=1, renewable=True), warnings=("mind the gap",))
    _, answered = lines(exchange(request(), response))
    assert answered["response"]["secret"] == {"lease_id": "db/creds/x/1"}
    assert answered["response"]["warnings"] == ["mind the gap"]


def test_bytes_are_shown_as_their_hash() -> None:
    _, answered = lines(exchange(request(), Raw(status=200, body=b"text \xff", content_type="text/plain")))
    assert answered["response"]["data"] == {
        "http_content_type": hashed("text/plain"), "http_raw_body": hashed("text \ufffd"), "http_status_code": 200}


def test_a_refusal_is_told_in_both_entries() -> None:
    for error in (PermissionDenied(), PolicyDenied(), InvalidToken()):
        wire, = error.messages
        asked, answered = lines(exchange(request(), errors=error.messages, permitted=False))
        assert asked["error"] == answered["error"] == wire, "the words are those on the wire"
        assert asked["auth"]["policy_results"]["allowed"] is False
        assert answered["response"]["data"] == {"error": hashed(wire)}


def test_a_fault_found_by_the_handler_is_told_with_the_response_and_only_by_its_kind() -> None:
    asked, answered = lines(exchange(request(Method.POST, body=b"{}"), errors=(f"no such {CANARY}",)))
    assert "error" not in asked
    assert answered["error"] == "1 error occurred:\n\t* invalid request\n\n"
    assert answered["response"]["data"] == {"error": hashed(f"no such {CANARY}")}


def test_a_request_that_led_nowhere_is_told() -> None:
    asked, answered = lines(exchange(request(), token=None, mount=None, errors=("permission denied",), permitted=False))
    assert "mount_point" not in asked["request"]
    assert answered["response"] == {"data": {"error": hashed("permission denied")}}


def test_an_answer_without_content_is_told() -> None:
    _, answered = lines(exchange(request(Method.DELETE), Response(status=204)))
    assert "data" not in answered["response"]


def test_where_a_request_was_forwarded_from_is_told() -> None:
    asked, answered = lines(exchange(request(origin="node-2")))
    assert (asked["forwarded_from"], answered["forwarded"]) == ("node-2", True)


@pytest.mark.parametrize("body", [b"", b"no json canary-7c1e", b'["canary-7c1e"]', b'"canary-7c1e"', b"\xff\xfe", b"{" * 5])
def test_a_body_that_is_no_object_is_left_out_and_the_entry_made(body: bytes) -> None:
    asked, _ = lines(exchange(request(Method.POST, body=body), errors=("error parsing JSON",)))
    assert "data" not in asked["request"]


def test_a_body_that_is_too_deep_to_walk_is_said_to_be_so() -> None:
    body = b'{"a":' * 100_000 + b'"canary-7c1e"' + b"}" * 100_000
    asked, _ = lines(exchange(request(Method.POST, body=body)))
    assert asked["request"]["data"] == {"unreadable": True}


def test_odd_text_stays_on_its_line_and_inside_its_string() -> None:
    path = 'secret/data/"},"x":{"\n\u2028\\'
    asked, answered = lines(exchange(request(path=path), data({"k\n\"": "v"})))
    assert asked["request"]["path"] == path
    assert answered["response"]["data"] == {"k\n\"": hashed("v")}


def test_tokens_of_an_entity_less_kind_share_vaults_client_id() -> None:
    root = msgspec.structs.replace(TOKEN, entity_id="", policies=("root",))
    asked, _ = lines(exchange(request(), token=root))
    assert asked["request"]["client_id"] == "0DHqvq2D77kL2/JTPSZkTMJbkFVmUu0TzMi0jiXcFy8="


def test_what_a_token_was_made_with_is_shown() -> None:
    token = msgspec.structs.replace(TOKEN, token_policies=("default",), identity_policies=("readers",), metadata={"username": "ann"},
                                    issued_ms=NOW, ttl_s=3_600)
    asked, _ = lines(exchange(request(), token=token))
    auth = asked["auth"]
    assert (auth["policies"], auth["token_policies"], auth["identity_policies"]) == (["default", "readers"], ["default"], ["readers"])
    assert (auth["metadata"], auth["token_ttl"], auth["token_issue_time"]) == ({"username": "ann"}, 3_600, "2023-11-14T22:13:20Z")


def test_remaining_uses_are_shown() -> None:
    asked, _ = lines(exchange(request(), token=msgspec.structs.replace(TOKEN, num_uses=4)))
    assert asked["auth"]["remaining_uses"] == 4


def test_each_device_hashes_with_its_own_salt() -> None:
    other = ready(msgspec.structs.replace(device().record, uuid="u2", salt=Secret(b"\x06" * 32)))
    made = entries(Standing((device(), other)), exchange(request(), data({"a": "b"})))
    assert [entry.device.record.uuid for entry in made] == ["uuid-file", "u2"]
    shown = [json.loads(entry.response)["response"]["data"]["a"] for entry in made]
    assert shown == [hashed("b"), hashed("b", b"\x06" * 32)]


def test_without_a_device_nothing_is_made() -> None:
    assert entries(Standing(()), exchange(request())) == ()


def test_standing_parts_are_used_again_for_the_same_grant_and_never_for_another() -> None:
    standing = Standing((device(),))
    told = exchange(request())
    entries(standing, told)
    kept = standing.parts
    entries(standing, msgspec.structs.replace(told, request=request(path="secret/data/b")))
    assert standing.parts is kept
    other = msgspec.structs.replace(TOKEN, display_name="bob")
    made = entries(standing, msgspec.structs.replace(told, token=other))
    assert json.loads(made[0].request)["auth"]["display_name"] == "bob"
    denied = entries(standing, msgspec.structs.replace(told, permitted=False, errors=("permission denied",)))
    assert json.loads(denied[0].request)["auth"]["policy_results"]["allowed"] is False


def test_tokens_that_are_none_share_a_grant_but_no_entry() -> None:
    standing = Standing((device(),))
    for text in ("hvb.one", "hvb.two"):
        made = entries(standing, exchange(request(token=text), token=None))[0]
        assert json.loads(made.request)["auth"]["client_token"] == hashed(text)


def test_the_line_that_tries_a_device_is_an_entry() -> None:
    line = json.loads(probe_line(device().options, id=ID, now_ms=NOW))
    assert line["request"] == {"id": ID, "operation": "update", "namespace": {"id": "root"}, "path": "sys/audit/test"}
    assert line["type"] == "request"


def test_a_canary_is_in_no_line() -> None:
    """In every place that a secret may have on its way through."""
    body = json.dumps({"password": CANARY, "nested": [{"deep": [CANARY]}], "pem": f"-----\n{CANARY}\n"}).encode()
    auth = Auth(client_token=Secret(CANARY.encode()), accessor="a", policies=(), token_policies=(), lease_duration=0, renewable=False,
                entity_id="", token_type="batch", orphan=False, num_uses=0)
    wrap = WrapInfo(token=Secret(CANARY.encode()), accessor="a", ttl=1, creation_time="", creation_path="")
    told = [
        exchange(request(Method.POST, body=body), data({"value": CANARY, "list": [CANARY, [CANARY]]})),
        exchange(request(query={"password": CANARY}), Raw(status=200, body=CANARY.encode())),
        exchange(request(), Response(auth=auth, wrap_info=wrap)),
        exchange(request(Method.POST, body=CANARY.encode()), errors=(CANARY, f"bad {CANARY}")),
    ]
    for one in told:
        entry = entries(Standing((device(),)), one)[0]
        assert CANARY.encode() not in entry.request + entry.response
