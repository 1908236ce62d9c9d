"""auth/token through the pipeline: rules of making tokens, what lookups show, uses, renewal. Facts: Vault API, auth/token."""
import re

import pytest
from msgspec.structs import replace
from tests.unit.core.token_node import DELETE, GET, LIST, POST, TokenNode

from holdfast.core import token_format
from holdfast.core.outcome import Forward
from holdfast.core.secret_names import load_names, token_name
from holdfast.core.token_store import ENTRIES
from holdfast.crypto import HmacSha256
from holdfast.engine import Place
from holdfast.ids import Index
from holdfast.limits import TOKEN_DEPTH_MAX, TOKEN_MAX_BYTES, TOKEN_TEXTS_MAX

INVALID = ["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"]
"""By these words Vault's agent knows that it must log in anew."""


@pytest.fixture
def node() -> TokenNode:
    one = TokenNode()
    one.policy("dev", 'path "secret/*" { capabilities = ["read", "list", "create", "update"] }')
    one.policy("maker", 'path "auth/token/create" { capabilities = ["update"] }')
    one.policy("boss", 'path "auth/token/*" { capabilities = ["create", "read", "update", "list", "sudo"] }')
    return one


def refused(node: TokenNode, body: dict[str, object], *, token: str = "", status: int = 400) -> list[str]:
    seen = node.post("auth/token/create", body, token=token)
    assert (seen.status, dict(seen.changes)) == (status, {}), seen.reply.body
    return list(seen.json["errors"])


class TestTheAnswerOfCreate:
    def test_its_auth_block(self, node: TokenNode) -> None:
        seen = node.post("auth/token/create", {"policies": ["dev"], "ttl": "1h", "meta": {"team": "a", "n": 3}, "display_name": "ci/x"})
        auth = seen.json["auth"]
        assert auth["client_token"].startswith("hvs.CAESI")
        assert len(auth["client_token"]) >= 95
        assert re.fullmatch("[0-9A-Za-z]{24}", auth["accessor"])
        assert auth["policies"] == auth["token_policies"] == ["default", "dev"]
        assert (auth["lease_duration"], auth["renewable"], auth["orphan"], auth["num_uses"]) == (3600, True, False, 0)
        assert (auth["token_type"], auth["entity_id"], auth["metadata"]) == ("service", "", {"team": "a", "n": "3"})
        assert seen.json["data"] is None

    def test_fields_in_capitals_count(self, node: TokenNode) -> None:
        """Not counted, they would leave the token with all that its parent may do."""
        seen = node.post("auth/token/create", {"Policies": ["dev"], "TTL": "1h"})
        assert seen.json["auth"]["policies"] == ["default", "dev"]
        assert seen.json["auth"]["lease_duration"] == 3600
        node.policy("one", 'path "auth/token/create" { capabilities = ["update"] denied_parameters = { "policies" = [] } }')
        assert node.post("auth/token/create", {"Policies": ["one"]}, token=node.create({"policies": ["one"]})).status == 403

    def test_what_a_lookup_shows(self, node: TokenNode) -> None:
        token = node.create({"policies": ["dev"], "ttl": "1h", "display_name": "ci x", "meta": {"a": "b"}})
        node.advance(60)
        data = node.lookup(token).json["data"]
        assert re.fullmatch("[0-9A-Za-z]{24}", data.pop("accessor"))
        assert data == {
            "creation_time": 1_700_000_000, "creation_ttl": 3600, "display_name": "token-ci-x", "entity_id": "",
            "expire_time": "2023-11-14T23:13:20Z", "explicit_max_ttl": 0, "id": token, "issue_time": "2023-11-14T22:13:20Z",
            "meta": {"a": "b"}, "num_uses": 0, "orphan": False, "path": "auth/token/create", "policies": ["default", "dev"],
            "renewable": True, "ttl": 3540, "type": "service"}

    def test_a_root_token_never_expires(self, node: TokenNode) -> None:
        data = node.lookup(node.root).json["data"]
        assert (data["policies"], data["ttl"], data["expire_time"], data["display_name"]) == (["root"], 0, None, "root")
        assert data["orphan"] is True
        assert data["path"] == "auth/token/root"
        assert re.fullmatch("hvs[.][0-9A-Za-z]{24}", node.root)

    def test_a_policy_that_does_not_exist_is_a_warning(self, node: TokenNode) -> None:
        assert node.post("auth/token/create", {"policies": ["nope"]}).json["warnings"] == ['Policy "nope" does not exist']

    def test_a_ttl_past_the_maximum_is_cut_and_said(self, node: TokenNode) -> None:
        seen = node.post("auth/token/create", {"policies": ["dev"], "ttl": "800h"})
        assert seen.json["auth"]["lease_duration"] == 768 * 3600
        assert seen.json["warnings"] == ['TTL of "800h" exceeded the effective max_ttl of "768h"; TTL value is capped accordingly']

    def test_an_explicit_maximum_cuts_as_well(self, node: TokenNode) -> None:
        seen = node.post("auth/token/create", {"policies": ["dev"], "ttl": "2h", "explicit_max_ttl": "1h"})
        assert seen.json["auth"]["lease_duration"] == 3600
        assert "exceeded the effective max_ttl" in seen.json["warnings"][0]

    def test_nothing_that_is_stored_is_the_token_or_its_accessor(self, node: TokenNode) -> None:
        seen = node.post("auth/token/create", {"policies": ["dev"]})
        token, accessor = seen.json["auth"]["client_token"], seen.json["auth"]["accessor"]
        assert all(token not in key and accessor not in key for key in seen.changes)
        assert all(token.encode() not in (value or b"") for value in seen.changes.values())


def test_what_a_token_carries_is_bounded(node: TokenNode) -> None:
    error, = refused(node, {"meta": {"a": "x" * TOKEN_TEXTS_MAX}})
    assert error.startswith(f"policies, metadata and display name of a token have at most {TOKEN_TEXTS_MAX} characters together")
    assert refused(node, {"policies": ["p" * TOKEN_TEXTS_MAX]})
    assert refused(node, {"display_name": "d" * TOKEN_TEXTS_MAX})
    assert node.create({"meta": {"a": "x" * (TOKEN_TEXTS_MAX - 100)}})


class TestPolicies:
    def test_a_child_has_no_more_than_its_parent(self, node: TokenNode) -> None:
        parent = node.create({"policies": ["maker", "dev"]})
        assert node.lookup(node.create({"policies": ["dev"]}, token=parent)).json["data"]["policies"] == ["default", "dev"]
        assert refused(node, {"policies": ["boss"]}, token=parent) == ["child policies must be subset of parent"]
        assert refused(node, {"policies": ["root"]}, token=parent) == ["child policies must be subset of parent"]

    def test_none_asked_for_are_those_of_the_parent(self, node: TokenNode) -> None:
        parent = node.create({"policies": ["maker"], "no_default_policy": True})
        assert node.lookup(node.root).json["data"]["policies"] == ["root"]
        seen = node.post("auth/token/create", {}, token=parent)
        assert seen.json["auth"]["policies"] == ["maker"]

    def test_a_list_of_blanks_names_none_and_takes_none_of_the_parent(self, node: TokenNode) -> None:
        assert node.post("auth/token/create", {"policies": [""]}).json["auth"]["policies"] == ["default"]
        none = node.post("auth/token/create", {"policies": [""], "no_default_policy": True}).json["auth"]
        assert (none["policies"], "token_policies" in none) == ([], False)
        assert node.post("auth/token/create", {"policies": ""}).json["auth"]["policies"] == ["root"]

    def test_default_comes_from_a_parent_that_has_it(self, node: TokenNode) -> None:
        without = node.create({"policies": ["maker", "dev"], "no_default_policy": True})
        assert node.post("auth/token/create", {"policies": ["dev"]}, token=without).json["auth"]["policies"] == ["dev"]
        assert node.post("auth/token/create", {"policies": ["dev"], "no_default_policy": True}).json["auth"]["policies"] == ["dev"]

    def test_sudo_may_give_any_policy_but_root(self, node: TokenNode) -> None:
        boss = node.create({"policies": ["boss"]})
        assert node.post("auth/token/create", {"policies": ["dev"]}, token=boss).json["auth"]["policies"] == ["default", "dev"]
        assert refused(node, {"policies": ["root"]}, token=boss) == ["root tokens may not be created without parent token being root"]

    def test_root_stands_alone(self, node: TokenNode) -> None:
        assert node.post("auth/token/create", {"policies": ["root", "dev"]}).json["auth"]["policies"] == ["root"]

    def test_wrapping_is_nobodys(self, node: TokenNode) -> None:
        assert refused(node, {"policies": ["response-wrapping"]}) == ['cannot assign policy "response-wrapping"']

    def test_root_that_expires_makes_none_that_does_not(self, node: TokenNode) -> None:
        expiring = node.create({"policies": ["root"], "ttl": "1h"})
        assert refused(node, {"policies": ["root"]}, token=expiring) == [
            "expiring root tokens cannot create non-expiring root tokens"]
        assert node.create({"policies": ["root"], "ttl": "10m"}, token=expiring)


class TestPrivileges:
    @pytest.mark.parametrize(("body", "error"), [
        ({"id": "mine"}, "root or sudo privileges required to specify token id"),
        ({"no_parent": True}, "root or sudo privileges required to create orphan token"),
        ({"period": "1h"}, "root or sudo privileges required to create periodic token"),
        ({"num_uses": -1}, "number of uses cannot be negative"),
        ({"type": "odd"}, "invalid 'token_type' value"),
        ({"ttl": "-1s"}, "ttl must be positive"), ({"period": "-1s"}, "period must be positive"),
        ({"ttl": "soon"}, "ttl: 'soon' is not a duration such as 30, 30s or 1h30m"),
        ({"ttl": "99999999999999999999"}, "ttl: a duration is at most 9223372036 s"),
        ({"entity_alias": "x"}, "'entity_alias' is only allowed in combination with token role"),
    ])
    def test_what_not_everybody_may_ask_for(self, node: TokenNode, body: dict[str, object], error: str) -> None:
        assert refused(node, {"policies": ["dev"], **body}, token=node.create({"policies": ["maker", "dev"]})) == [error]

    def test_orphans_are_made_by_who_may_but_have_no_more_than_their_maker(self, node: TokenNode) -> None:
        node.policy("plain", 'path "auth/token/create-orphan" { capabilities = ["update"] }')
        maker = node.create({"policies": ["plain"]})
        orphan = node.create({"policies": ["plain"]}, token=maker, path="auth/token/create-orphan")
        node.post("auth/token/revoke", {"token": maker})
        assert node.lookup(orphan).json["data"]["orphan"] is True
        other = node.create({"policies": ["plain"]})
        assert node.post("auth/token/create-orphan", {"policies": ["dev"]}, token=other).status == 400

    def test_orphans_are_left_by_who_has_sudo(self, node: TokenNode) -> None:
        node.policy("plain", 'path "auth/token/revoke-orphan" { capabilities = ["update"] }')
        seen = node.post("auth/token/revoke-orphan", {"token": "x"}, token=node.create({"policies": ["plain"]}))
        assert (seen.status, seen.json["errors"]) == (400, ["root or sudo privileges required to revoke and orphan"])

    def test_accessors_need_sudo(self, node: TokenNode) -> None:
        node.policy("plain", 'path "auth/token/accessors" { capabilities = ["list"] }')
        assert node.call(LIST, "auth/token/accessors", token=node.create({"policies": ["plain"]})).status == 403
        keys = node.call(LIST, "auth/token/accessors").json["data"]["keys"]
        assert keys == sorted(keys)
        assert len(keys) == 2

    def test_chosen_ids(self, node: TokenNode) -> None:
        assert node.create({"id": "s.old-style", "policies": ["dev"]}) == "s.old-style"
        assert node.is_alive("s.old-style")
        assert refused(node, {"id": "s.old-style"}) == ["cannot create a token with a duplicate ID"]
        assert refused(node, {"id": "hvs.mine"}) == ["custom token ID cannot have the 'hvs.' prefix"]
        node.post("auth/token/revoke", {"token": "s.old-style"})
        assert node.create({"id": "s.old-style", "policies": ["dev"]}) == "s.old-style"

    def test_a_chosen_id_is_taken_until_all_of_the_old_token_is_gone(self, node: TokenNode) -> None:
        node.create({"id": "again"})
        child = node.create({"policies": ["dev"]}, token="again")
        node.post("auth/token/revoke", {"token": "again"})
        assert refused(node, {"id": "again"}) == ["cannot create a token with a duplicate ID"]
        assert not node.is_alive(child)
        node.run_due()
        node.create({"id": "again"})
        assert not node.is_alive(child)


class TestBatchTokens:
    @pytest.fixture
    def batch(self, node: TokenNode) -> str:
        return node.create({"type": "batch", "policies": ["dev", "maker"], "ttl": "10m", "meta": {"a": "b"}})

    def test_it_is_its_own_record(self, node: TokenNode) -> None:
        seen = node.post("auth/token/create", {"type": "batch", "policies": ["dev"], "ttl": "10m"})
        assert dict(seen.changes) == {}
        auth = seen.json["auth"]
        assert auth["client_token"].startswith("hvb.")
        assert (auth["token_type"], auth["accessor"], auth["renewable"], auth["lease_duration"]) == ("batch", "", False, 600)

    def test_what_a_lookup_shows(self, node: TokenNode, batch: str) -> None:
        data = node.lookup(batch).json["data"]
        assert data["id"] == batch
        assert (data["type"], data["accessor"], data["orphan"], data["renewable"]) == ("batch", "", False, False)
        assert (data["ttl"], data["creation_ttl"], data["meta"], data["num_uses"]) == (600, 600, {"a": "b"}, 0)
        assert data["policies"] == ["default", "dev", "maker"]

    @pytest.mark.parametrize(("path", "error"), [
        ("auth/token/create", "batch tokens cannot create more tokens"),
        ("auth/token/renew-self", "batch tokens cannot be renewed"),
        ("auth/token/revoke-self", "batch tokens cannot be revoked"),
    ])
    def test_what_it_cannot(self, node: TokenNode, batch: str, path: str, error: str) -> None:
        assert node.post(path, {}, token=batch).json["errors"] == [error]

    def test_what_cannot_be_done_with_it(self, node: TokenNode, batch: str) -> None:
        for verb, error in (("renew", "renewed"), ("revoke", "revoked"), ("revoke-orphan", "revoked")):
            assert node.post(f"auth/token/{verb}", {"token": batch}).json["errors"] == [f"batch tokens cannot be {error}"]
        assert node.call(GET, "cubbyhole/a", token=batch).status == 400

    @pytest.mark.parametrize(("field", "value"), [("num_uses", 3), ("period", "1h"), ("explicit_max_ttl", "1h")])
    def test_what_it_cannot_have(self, node: TokenNode, field: str, value: object) -> None:
        assert refused(node, {"type": "batch", field: value}) == [f'batch tokens cannot have "{field}" set']

    def test_it_is_never_root(self, node: TokenNode) -> None:
        assert refused(node, {"type": "batch", "policies": ["root"]}) == ["batch tokens cannot be root tokens"]

    def test_it_ends_with_its_time_and_with_its_parent(self, node: TokenNode) -> None:
        parent = node.create({"policies": ["dev", "maker"]})
        short = node.create({"type": "batch", "ttl": "1m"}, token=parent)
        long = node.create({"type": "batch", "ttl": "1h"}, token=parent)
        node.advance(61)
        assert (node.lookup(short).status, node.lookup(long).status) == (403, 200)
        node.post("auth/token/revoke", {"token": parent})
        assert node.lookup(long).status == 403

    def test_a_forged_one_is_refused_like_an_unknown_one(self, node: TokenNode, batch: str) -> None:
        changed = batch[:60] + ("A" if batch[60] != "A" else "B") + batch[61:]
        for forged in (changed, batch[:40], batch + "!", "hvb.", "hvb." + "A" * 200):
            seen = node.lookup(forged)
            assert (seen.status, seen.json["errors"]) == (403, INVALID), forged

    def test_one_that_nobody_could_carry_is_not_made(self, node: TokenNode) -> None:
        error, = refused(node, {"type": "batch", "policies": ["dev"], "meta": {"a": "x" * TOKEN_MAX_BYTES}})
        assert f"the limit is {TOKEN_MAX_BYTES} bytes" in error

    def test_26_one_of_a_newer_state_is_handed_on(self, node: TokenNode) -> None:
        before = node.replica.index
        parent = node.create({"policies": ["maker", "dev"]})
        batch = node.create({"type": "batch", "policies": ["dev"]}, token=parent)
        node.replica.index, after = before, node.replica.index       # a worker that is behind
        assert node.at_worker(GET, "secret/data/a", token=batch) is None
        assert node.at_worker(GET, "secret/data/a", token=parent) is None
        node.replica.index = after
        assert node.at_worker(GET, "auth/token/lookup-self", token=batch) == 200

    def test_a_worker_makes_and_reads_it_alone(self, node: TokenNode, batch: str) -> None:
        assert node.at_worker(GET, "auth/token/lookup-self", token=batch) == 200


class TestUses:
    def test_44_every_answer_spends_one_whatever_it_says(self, node: TokenNode) -> None:
        token = node.create({"policies": ["dev"], "num_uses": 4})
        assert node.call(GET, "sys/mounts", token=token).status == 403
        assert node.lookup(token).json["data"]["num_uses"] == 2
        assert node.post("secret/data/a", b"not json", token=token).status == 400
        assert node.lookup(token).json["data"]["num_uses"] == -1
        assert node.lookup(token).status == 403

    def test_the_last_use_ends_the_token_with_all_that_it_has(self, node: TokenNode) -> None:
        token = node.create({"policies": ["dev"], "num_uses": 2})
        node.post("cubbyhole/a", {"x": 1}, token=token)
        assert len(node.keys("mount/uuid-cubbyhole/")) == 1
        assert node.call(GET, "cubbyhole/a", token=token).json["data"] == {"x": 1}
        assert not node.is_alive(token)
        assert node.run_due() == 1
        assert node.keys("mount/uuid-cubbyhole/") == ()
        assert len(node.keys("core/token/id/")) == 1
        assert node.keys("core/due/") == ()

    def test_a_token_with_uses_makes_no_tokens(self, node: TokenNode) -> None:
        token = node.create({"policies": ["maker"], "num_uses": 3})
        assert node.post("auth/token/create", {}, token=token).json["errors"] == ["restricted use token cannot generate child tokens"]
        assert node.lookup(token).json["data"]["num_uses"] == 1

    def test_a_public_operation_spends_nothing(self, node: TokenNode) -> None:
        token = node.create({"policies": ["dev"], "num_uses": 1})
        for _ in range(3):
            assert node.call(GET, "sys/health", token=token).status == 200
            assert node.post("auth/userpass/login/nobody", {"password": "x"}, token=token).status == 400
        assert node.lookup(token).json["data"]["num_uses"] == -1

    def test_a_used_up_token_is_no_token_for_a_public_operation(self, node: TokenNode) -> None:
        token = node.create({"policies": ["dev"], "num_uses": 1})
        node.lookup(token)
        assert node.post("auth/userpass/login/nobody", {"password": "x"}, token=token).status == 400

    def test_a_worker_never_spends(self, node: TokenNode) -> None:
        token = node.create({"policies": ["dev"], "num_uses": 2})
        assert node.at_worker(GET, "auth/token/lookup-self", token=token) is None
        assert node.lookup(token).json["data"]["num_uses"] == 1


class TestAddresses:
    def test_a_bound_token_works_from_its_networks_alone(self, node: TokenNode) -> None:
        node.post("auth/token/roles/near", {"token_bound_cidrs": "10.0.0.0/8,::1", "allowed_policies": "maker"})
        token = node.create(path="auth/token/create/near")
        for address, status in (("10.1.2.3", 200), ("::ffff:10.1.2.3", 200), ("::1", 200), ("11.0.0.1", 403), ("", 403)):
            assert node.call(GET, "auth/token/lookup-self", token=token, address=address).status == status, address
        child = node.post("auth/token/create", {}, token=token, address="10.0.0.1").json["auth"]["client_token"]
        assert node.call(GET, "auth/token/lookup-self", token=child, address="11.0.0.1").status == 403
        assert node.call(GET, "auth/token/lookup-self", token=child, address="10.0.0.1").json["data"]["bound_cidrs"] == [
            "10.0.0.0/8", "::1"]

    def test_a_refusal_for_its_address_spends_nothing(self, node: TokenNode) -> None:
        node.post("auth/token/roles/near", {"token_bound_cidrs": "10.0.0.0/8", "token_num_uses": 1, "allowed_policies": "dev"})
        token = node.create(path="auth/token/create/near")
        assert node.call(GET, "auth/token/lookup-self", token=token, address="11.0.0.1").status == 403
        assert node.call(GET, "auth/token/lookup-self", token=token, address="10.0.0.1").status == 200


class TestRenewal:
    def test_it_lives_on_from_now(self, node: TokenNode) -> None:
        token = node.create({"policies": ["dev"], "ttl": "1h"})
        node.advance(1800)
        seen = node.post("auth/token/renew-self", {"increment": "2h"}, token=token)
        assert (seen.status, seen.json["auth"]["lease_duration"], seen.json["auth"]["client_token"]) == (200, 7200, token)
        node.advance(3600)
        data = node.lookup(token).json["data"]
        assert (data["ttl"], data["creation_ttl"], data["last_renewal"]) == (3600, 3600, "2023-11-14T22:43:20Z")
        assert data["last_renewal_time"] == 1_700_001_800
        assert len(node.keys("core/due/")) == 1

    def test_who_asks_for_nothing_gets_what_it_got_last(self, node: TokenNode) -> None:
        token = node.create({"policies": ["dev"], "ttl": "1h"})
        assert node.post("auth/token/renew-self", {}, token=token).json["auth"]["lease_duration"] == 3600
        assert node.post("auth/token/renew-self", {"increment": "2h"}, token=token).json["auth"]["lease_duration"] == 7200
        node.advance(60)
        assert node.post("auth/token/renew-self", {}, token=token).json["auth"]["lease_duration"] == 7200
        assert node.lookup(token).json["data"]["creation_ttl"] == 3600

    def test_the_old_end_does_not_end_it(self, node: TokenNode) -> None:
        token = node.create({"policies": ["dev"], "ttl": "1h"})
        node.post("auth/token/renew-self", {"increment": "2h"}, token=token)
        node.advance(5400)
        node.run_due()
        assert node.is_alive(token)

    def test_never_past_the_maximum_since_it_was_made(self, node: TokenNode) -> None:
        token = node.create({"policies": ["dev"], "ttl": "1h", "explicit_max_ttl": "90m"})
        node.advance(3000)
        seen = node.post("auth/token/renew-self", {"increment": "1h"}, token=token)
        assert seen.json["auth"]["lease_duration"] == 5400 - 3000
        assert seen.json["warnings"] == ['TTL of "1h" exceeded the effective max_ttl of "40m"; TTL value is capped accordingly']

    def test_the_maximum_ends_to_the_millisecond(self, node: TokenNode) -> None:
        """What was left was given in whole seconds: who renewed half a second before the end lived half a second past it."""
        token = node.create({"policies": ["dev"], "ttl": "1h", "explicit_max_ttl": "1h"})
        node.advance(3599.4)
        assert node.post("auth/token/renew-self", {"increment": "1h"}, token=token).json["auth"]["lease_duration"] == 1
        node.advance(0.7)
        assert not node.is_alive(token)

    def test_a_period_goes_on_for_ever(self, node: TokenNode) -> None:
        token = node.create({"policies": ["dev"], "period": "1h"})
        for _ in range(3 * 768):
            node.advance(3500)
            assert node.post("auth/token/renew-self", {}, token=token).json["auth"]["lease_duration"] == 3600
            if node.now_ms > 1_700_000_000_000 + 800 * 3_600_000:
                break
        assert node.lookup(token).json["data"]["period"] == 3600

    def test_what_cannot_be_renewed(self, node: TokenNode) -> None:
        fixed = node.create({"policies": ["dev"], "renewable": False})
        assert node.post("auth/token/renew-self", {}, token=fixed).json["errors"] == ["lease is not renewable"]
        assert node.post("auth/token/renew-self", {}).json["errors"] == ["invalid lease ID"]
        assert node.post("auth/token/renew", {"token": "nothing"}).json["errors"] == ["token not found"]
        assert node.post("auth/token/renew", {"increment": 60}).json["errors"] == ["missing token ID"]

    def test_of_oneself_a_token_in_the_body_says_nothing(self, node: TokenNode) -> None:
        token = node.create({"policies": ["root"], "ttl": "1h"})
        for path in ("auth/token/renew-self", "auth/token/lookup-self"):
            seen = node.post(path, {"token": "another"}, token=token)
            assert (seen.status, seen.json["warnings"]) == (200, None)

    def test_by_accessor_the_token_is_not_shown(self, node: TokenNode) -> None:
        token = node.create({"policies": ["dev"], "ttl": "1h"})
        accessor = node.lookup(token).json["data"]["accessor"]
        seen = node.post("auth/token/renew-accessor", {"accessor": accessor, "increment": 60})
        assert (seen.json["auth"]["client_token"], seen.json["auth"]["lease_duration"]) == ("", 60)

    def test_others_are_renewed_by_their_token(self, node: TokenNode) -> None:
        token = node.create({"policies": ["dev"], "ttl": "1h"})
        seen = node.post("auth/token/renew", {"token": token, "increment": "90"})
        assert (seen.json["auth"]["client_token"], seen.json["auth"]["lease_duration"]) == (token, 90)


class TestAccessors:
    def test_it_finds_and_ends_the_token_without_showing_it(self, node: TokenNode) -> None:
        token = node.create({"policies": ["dev"]})
        accessor = node.lookup(token).json["data"]["accessor"]
        data = node.post("auth/token/lookup-accessor", {"accessor": accessor}).json["data"]
        assert (data["id"], data["accessor"]) == ("", accessor)
        assert node.post("auth/token/revoke-accessor", {"accessor": accessor}).status == 204
        assert not node.is_alive(token)
        again = node.post("auth/token/revoke-accessor", {"accessor": accessor})
        assert (again.status, again.json["warnings"]) == (200, ["No token found with this accessor"])
        assert node.post("auth/token/lookup-accessor", {"accessor": accessor}).json["errors"] == ["invalid accessor"]
        assert node.post("auth/token/lookup-accessor", {}).json["errors"] == ["missing accessor"]


class TestUnknownTokens:
    @pytest.mark.parametrize("text", ["x", "hvs.", "hvs.CAESI", "hvb.", "hvr.abc", "s.abc", "é" * 30, "a" * (TOKEN_MAX_BYTES + 1), "\0"])
    def test_they_are_refused_alike(self, node: TokenNode, text: str) -> None:
        seen = node.call(GET, "secret/data/a", token=text)
        assert (seen.status, seen.json["errors"]) == (403, INVALID)

    def test_none_at_all(self, node: TokenNode) -> None:
        assert node.call(GET, "secret/data/a", token=None).json["errors"] == ["permission denied"]

    def test_a_lookup_of_one(self, node: TokenNode) -> None:
        seen = node.post("auth/token/lookup", {"token": "nothing"})
        assert (seen.status, seen.json["errors"]) == (403, ["bad token"])
        assert node.post("auth/token/revoke", {"token": "nothing"}).status == 204
        assert node.post("auth/token/revoke", {}).json["errors"] == ["missing token ID"]

    def test_26_one_that_only_a_newer_state_knows_is_handed_on(self, node: TokenNode) -> None:
        key = token_format.service("A" * 24, Index(node.replica.index + 1), _signer(node))
        for method, path in ((GET, "secret/data/a"), (GET, "sys/internal/ui/mounts")):
            assert node.at_worker(method, path, token=key) is None, path
        assert node.at_worker(POST, "auth/token/lookup", body={"token": key}) is None
        assert node.lookup(key).status == 403                     # the lane has every state
        old = token_format.service("A" * 24, node.replica.index, _signer(node))
        assert node.at_worker(GET, "secret/data/a", token=old) == 403
        forged = key[:-8] + "AAAAAAAA"
        assert node.at_worker(GET, "secret/data/a", token=forged) == 403

    def test_26_a_new_token_names_the_batch_that_holds_it(self, node: TokenNode) -> None:
        token = node.create({"policies": ["dev"]})
        assert token_format.index_of(token.encode(), _signer(node)) == node.replica.index
        assert token_format.index_of(node.root.encode(), _signer(node)) is None


class TestDepth:
    def test_a_tree_is_not_deeper_than_the_limit(self, node: TokenNode) -> None:
        token = node.create({"policies": ["maker"]})
        id = token_name(node.txn(), token)
        entry = ENTRIES.get(node.txn(), id)
        assert entry is not None
        node._write(lambda txn, rng: ENTRIES.put(txn, id, replace(entry, depth=TOKEN_DEPTH_MAX)))
        assert node.post("auth/token/create", {}, token=token).json["errors"] == [
            f"a token has at most {TOKEN_DEPTH_MAX} parents one above the other"]


class TestRoles:
    def test_what_it_allows(self, node: TokenNode) -> None:
        node.post("auth/token/roles/ci", {"allowed_policies": "dev", "allowed_policies_glob": "app-*", "disallowed_policies": "app-x",
                                          "orphan": True, "token_period": "1h", "path_suffix": "v1.0"})
        seen = node.post("auth/token/create/ci", {"policies": ["app-1"]})
        assert (seen.json["auth"]["policies"], seen.json["auth"]["orphan"]) == (["app-1", "default"], True)
        data = node.lookup(seen.json["auth"]["client_token"]).json["data"]
        assert (data["role"], data["ttl"], data["path"]) == ("ci", 3600, "auth/token/create/ci/v1.0")
        assert "period" not in data                          # it is the role's, asked at each renewal
        assert node.post("auth/token/create/ci", {"policies": ["app-x"]}).json["errors"] == [
            'token policy "app-x" is disallowed by this role']
        error, = node.post("auth/token/create/ci", {"policies": ["boss"]}).json["errors"]
        assert "must be subset of the role's allowed policies" in error
        assert node.post("auth/token/create/ci").json["auth"]["policies"] == ["default", "dev"]

    def test_reading_and_deleting(self, node: TokenNode) -> None:
        node.post("auth/token/roles/ci", {"allowed_policies": ["b", "a"], "period": 60})
        data = node.call(GET, "auth/token/roles/ci").json["data"]
        assert (data["allowed_policies"], data["period"], data["token_period"]) == (["a", "b"], 60, 60)
        assert (data["token_type"], data["allowed_entity_aliases"]) == ("default-service", None)
        assert node.call(LIST, "auth/token/roles").json["data"]["keys"] == ["ci"]
        assert node.call(DELETE, "auth/token/roles/ci").status == 204
        assert node.call(GET, "auth/token/roles/ci").status == 404
        assert node.post("auth/token/create/ci").json["errors"] == ["unknown role ci"]

    def test_a_renewal_asks_the_role(self, node: TokenNode) -> None:
        node.post("auth/token/roles/ci", {"token_period": "1h"})
        token = node.create(path="auth/token/create/ci")
        node.post("auth/token/roles/ci", {"token_period": "2h"})
        assert node.post("auth/token/renew-self", {}, token=token).json["auth"]["lease_duration"] == 7200
        node.call(DELETE, "auth/token/roles/ci")
        assert node.post("auth/token/renew-self", {}, token=token).json["errors"] == [
            'original token role "ci" could not be found, not renewing']

    @pytest.mark.parametrize(("body", "error"), [
        ({"token_type": "odd"}, "invalid 'token_type' value \"odd\""),
        ({"path_suffix": "../x"}, "given role path suffix contains invalid characters"),
        ({"token_type": "batch"}, "'token_type' cannot be 'batch' when role is set to generate non-orphan tokens"),
        ({"token_num_uses": -1}, "'token_num_uses' cannot be negative"),
    ])
    def test_what_cannot_be(self, node: TokenNode, body: dict[str, object], error: str) -> None:
        assert node.post("auth/token/roles/ci", body).json["errors"][0].startswith(error)

    def test_an_alias_that_the_role_allows(self, node: TokenNode) -> None:
        node.post("auth/token/roles/ci", {"allowed_entity_aliases": "bot-*"})
        entity = node.post("auth/token/create/ci", {"entity_alias": "bot-1"}).json["auth"]["entity_id"]
        assert entity
        assert node.post("auth/token/create/ci", {"entity_alias": "bot-1"}).json["auth"]["entity_id"] == entity
        assert node.post("auth/token/create/ci", {"entity_alias": "me"}).json["errors"] == ["invalid 'entity_alias' value"]


def test_tidy_has_nothing_to_do_and_says_so(node: TokenNode) -> None:
    seen = node.post("auth/token/tidy")
    assert (seen.status, dict(seen.changes)) == (202, {})


def test_a_token_cannot_be_made_at_a_worker(node: TokenNode) -> None:
    outcome = node.attempt(node.request(POST, "auth/token/create", {"policies": ["dev"]}), Place.WORKER)
    assert isinstance(outcome, Forward)


def _signer(node: TokenNode) -> HmacSha256:
    return node.txn().derive(load_names).index
