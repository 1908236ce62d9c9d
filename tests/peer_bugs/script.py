"""Every operation of every route, as one conversation: what a client of all of them would say, each step with the status it must have.

Steps may name what earlier answers gave: `{child}` stands for what a step kept under that name. A step is asked as root unless `token`
names another one.
"""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from holdfast.limits import POLICY_PARSE_ON_LANE_MAX

WRITES = ("POST", "PATCH", "DELETE")
MERGE = {"Content-Type": "application/merge-patch+json"}
WRAP = {"X-Vault-Wrap-TTL": "120"}
READS = 'path "kv/data/*" { capabilities = ["read", "list"] }'


@dataclass(frozen=True)
class Step:
    """`keep`: names for parts of the answer, each a path such as `auth.client_token`. `loose`: the answer's body is by chance, or about the
    one process: only its status, headers and keys are compared."""

    status: int
    method: str
    path: str
    body: Any = None
    token: str = ""
    keep: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    loose: bool = False
    until: bool = False                              # work of the node's own must end first: asked until the status is right


def _kv_2() -> list[Step]:
    write = {"data": {"a": "1", "deep": {"b": 1.10, "c": [1, None, "x"]}}}
    return [
        Step(200, "GET", "kv/config"),
        Step(204, "POST", "kv/config", {"max_versions": 5, "cas_required": False, "delete_version_after": "0s"}),
        Step(200, "POST", "kv/data/app/db", write),
        Step(200, "PUT", "kv/data/app/db", {"data": {"a": "2", "b": "3"}, "options": {"cas": 1}}),
        Step(400, "POST", "kv/data/app/db", {"data": {"a": "lost"}, "options": {"cas": 1}}),
        Step(200, "PATCH", "kv/data/app/db", {"data": {"b": None, "c": "4"}}, headers=MERGE),
        Step(404, "PATCH", "kv/data/app/none", {"data": {"b": None}}, headers=MERGE),
        Step(200, "GET", "kv/data/app/db"),
        Step(200, "GET", "kv/data/app/db?version=1"),
        Step(404, "GET", "kv/data/app/db?version=9"),
        Step(404, "GET", "kv/data/none"),
        Step(200, "GET", "kv/subkeys/app/db?depth=1"),
        Step(404, "GET", "kv/subkeys/none"),
        Step(204, "POST", "kv/delete/app/db", {"versions": [1]}),
        Step(404, "GET", "kv/data/app/db?version=1"),
        Step(204, "POST", "kv/undelete/app/db", {"versions": [1]}),
        Step(200, "GET", "kv/data/app/db?version=1"),
        Step(204, "POST", "kv/destroy/app/db", {"versions": [2]}),
        Step(404, "GET", "kv/data/app/db?version=2"),
        Step(204, "DELETE", "kv/data/app/db"),
        Step(404, "GET", "kv/data/app/db"),
        Step(200, "LIST", "kv/metadata"),
        Step(200, "LIST", "kv/metadata/app"),
        Step(404, "LIST", "kv/metadata/none"),
        Step(200, "GET", "kv/metadata/app?list=true"),
        Step(204, "POST", "kv/metadata/app/db", {"custom_metadata": {"owner": "me"}, "max_versions": 3}),
        Step(204, "PATCH", "kv/metadata/app/db", {"custom_metadata": {"owner": None, "team": "us"}}, headers=MERGE),
        Step(200, "GET", "kv/metadata/app/db"),
        Step(204, "DELETE", "kv/metadata/app/db"),
        Step(404, "GET", "kv/metadata/app/db"),
        *(Step(404, method, path, {} if method in ("POST", "PATCH") else None, headers=MERGE if method == "PATCH" else {})
          for path, methods in (("kv/app/db", ("GET", "LIST", *WRITES)), ("kv/metadata", ("GET", *WRITES))) for method in methods),
    ]


def _kv_1() -> list[Step]:
    return [
        Step(204, "POST", "old/app/db", {"a": 1.10, "b": "x", "ttl": "30m"}),
        Step(200, "GET", "old/app/db"),
        Step(204, "PUT", "old/app/db", {"a": 2}),
        Step(200, "LIST", "old/app"),
        Step(200, "LIST", "old/"),
        Step(404, "GET", "old/none"),
        Step(404, "LIST", "old/none"),
        Step(400, "POST", "old/none", {}),
        Step(204, "DELETE", "old/app/db"),
        Step(204, "DELETE", "old/app/db"),
        Step(204, "POST", "cubbyhole/mine", {"a": "b"}),
        Step(200, "GET", "cubbyhole/mine"),
        Step(200, "LIST", "cubbyhole/"),
        Step(404, "GET", "cubbyhole/none"),
        Step(204, "DELETE", "cubbyhole/mine"),
    ]


def _tokens() -> list[Step]:
    return [
        Step(200, "GET", "auth/token/lookup-self"),
        Step(200, "POST", "auth/token/lookup-self"),
        Step(200, "POST", "auth/token/create", {"policies": ["reads"], "ttl": "1h", "display_name": "child", "meta": {"a": "b"}},
             keep={"child": "auth.client_token", "child_accessor": "auth.accessor"}),
        Step(200, "POST", "auth/token/create-orphan", {"policies": ["reads"], "ttl": "1h"},
             keep={"orphan": "auth.client_token", "orphan_accessor": "auth.accessor"}),
        Step(200, "POST", "auth/token/create", {"type": "batch", "policies": ["reads"], "ttl": "1h"}, keep={"batch": "auth.client_token"}),
        Step(200, "POST", "auth/token/create", {"policies": ["reads"], "num_uses": 3}, keep={"few": "auth.client_token"}),
        Step(403, "POST", "auth/token/create", {"policies": ["root"]}, token="child"),
        Step(400, "POST", "auth/token/create", {"ttl": "x"}),
        Step(200, "GET", "auth/token/lookup-self", token="child"),
        Step(200, "GET", "auth/token/lookup-self", token="batch"),
        Step(200, "GET", "auth/token/lookup-self", token="few"),
        Step(403, "GET", "kv/data/none/at/all", token="orphan", headers={"X-Vault-Token": "hvs.unknown"}),
        Step(404, "GET", "kv/data/none", token="few"),
        Step(404, "GET", "kv/data/none", token="few"),
        Step(403, "GET", "kv/data/none", token="few"),
        Step(404, "GET", "kv/data/none", token="batch"),
        Step(200, "POST", "auth/token/lookup", {"token": "{child}"}),
        Step(200, "GET", "auth/token/lookup"),
        Step(403, "POST", "auth/token/lookup", {"token": "hvs.unknown"}),
        Step(200, "POST", "auth/token/lookup-accessor", {"accessor": "{child_accessor}"}),
        Step(400, "POST", "auth/token/lookup-accessor", {"accessor": "none"}),
        Step(200, "LIST", "auth/token/accessors", loose=True),      # what was used up goes after its last answer
        Step(200, "POST", "auth/token/renew", {"token": "{child}", "increment": "2h"}),
        Step(200, "POST", "auth/token/renew-self", {"increment": "2h"}, token="child"),
        Step(200, "POST", "auth/token/renew-accessor", {"accessor": "{child_accessor}", "increment": "30m"}),
        Step(400, "POST", "auth/token/renew-self", {}, token="batch"),
        Step(204, "POST", "auth/token/roles/app", {"allowed_policies": "reads", "orphan": True, "token_period": "1h"}),
        Step(200, "GET", "auth/token/roles/app"),
        Step(200, "LIST", "auth/token/roles"),
        Step(404, "GET", "auth/token/roles/none"),
        Step(200, "POST", "auth/token/create/app", {"policies": ["reads"]}, keep={"periodic": "auth.client_token"}),
        Step(400, "POST", "auth/token/create/app", {"policies": ["other"]}),
        Step(200, "GET", "auth/token/lookup-self", token="periodic"),
        Step(204, "DELETE", "auth/token/roles/app"),
        Step(204, "POST", "auth/token/revoke-self", token="periodic"),
        Step(403, "GET", "auth/token/lookup-self", token="periodic"),
        Step(204, "POST", "auth/token/revoke-accessor", {"accessor": "{orphan_accessor}"}),
        Step(403, "GET", "auth/token/lookup-self", token="orphan"),
        Step(200, "POST", "auth/token/create", {"policies": ["reads"]}, keep={"alone": "auth.client_token"}),
        Step(204, "POST", "auth/token/revoke-orphan", {"token": "{alone}"}),
        Step(204, "POST", "auth/token/revoke", {"token": "{child}"}),
        Step(403, "GET", "auth/token/lookup-self", token="child"),
        Step(202, "POST", "auth/token/tidy"),
    ]


def _userpass() -> list[Step]:
    return [
        Step(404, "LIST", "auth/userpass/users"),
        Step(204, "POST", "auth/userpass/users/ann", {"password": "one", "token_policies": "reads", "token_ttl": "1h"}),
        Step(200, "GET", "auth/userpass/users/ann"),
        Step(404, "GET", "auth/userpass/users/none"),
        Step(200, "LIST", "auth/userpass/users"),
        Step(204, "POST", "auth/userpass/users/ann/password", {"password": "two"}),
        Step(204, "POST", "auth/userpass/users/ann/policies", {"token_policies": ["reads"]}),
        Step(400, "POST", "auth/userpass/login/ann", {"password": "one"}, token="nobody"),
        Step(200, "POST", "auth/userpass/login/ann", {"password": "two"}, token="nobody", keep={"ann": "auth.client_token"}),
        Step(200, "GET", "auth/token/lookup-self", token="ann"),
        Step(404, "GET", "kv/data/none", token="ann"),
        Step(403, "POST", "kv/data/none", {"data": {}}, token="ann"),
        Step(200, "POST", "auth/token/renew-self", {}, token="ann"),
        Step(200, "GET", "sys/locked-users"),
        *[Step(400, "POST", "auth/userpass/login/bob", {"password": "one"}, token="nobody")] * 5,
        Step(403, "POST", "auth/userpass/login/bob", {"password": "one"}, token="nobody"),
        Step(200, "GET", "sys/auth/userpass", keep={"method": "data.accessor"}),
        Step(200, "GET", "sys/locked-users?mount_accessor={method}"),
        Step(204, "POST", "sys/locked-users/{method}/unlock/bob"),
        Step(400, "POST", "auth/userpass/login/bob", {"password": "one"}, token="nobody"),
        Step(204, "DELETE", "auth/userpass/users/ann"),
        Step(400, "POST", "auth/userpass/login/ann", {"password": "two"}, token="nobody"),
    ]


def _policies() -> list[Step]:
    return [
        Step(204, "POST", "sys/policies/acl/reads", {"policy": READS}),
        Step(204, "PUT", "sys/policy/older", {"policy": READS}),
        Step(200, "GET", "sys/policies/acl/reads"),
        Step(200, "GET", "sys/policy/older"),
        Step(404, "GET", "sys/policies/acl/none"),
        Step(404, "GET", "sys/policy/none"),
        Step(200, "LIST", "sys/policies/acl"),
        Step(200, "LIST", "sys/policy"),
        Step(200, "GET", "sys/policy"),
        Step(204, "DELETE", "sys/policy/older"),
        Step(204, "POST", "sys/policies/acl/short", {"policy": READS}),
        Step(204, "DELETE", "sys/policies/acl/short"),
        Step(204, "POST", "sys/policies/acl/long", {"policy": READS + "#" * POLICY_PARSE_ON_LANE_MAX}),
        Step(400, "POST", "sys/policies/acl/bad", {"policy": "path {"}),
        Step(200, "POST", "auth/token/create", {"policies": ["reads"]},
             keep={"reader": "auth.client_token", "reader_accessor": "auth.accessor"}),
        Step(200, "POST", "sys/capabilities-self", {"paths": ["kv/data/a", "sys/seal"]}, token="reader"),
        Step(200, "POST", "sys/capabilities", {"token": "{reader}", "paths": ["kv/data/a"]}),
        Step(200, "POST", "sys/capabilities-accessor", {"accessor": "{reader_accessor}", "path": "kv/data/a"}),
        Step(200, "GET", "sys/internal/ui/mounts"),
        Step(200, "GET", "sys/internal/ui/mounts", token="nobody"),
        Step(200, "GET", "sys/internal/ui/mounts/kv/a"),
        Step(200, "GET", "sys/internal/ui/mounts/kv/data/a", token="reader"),
        Step(403, "GET", "sys/internal/ui/mounts/old", token="reader"),
        Step(200, "GET", "sys/internal/ui/resultant-acl", token="reader"),
        Step(200, "GET", "sys/internal/specs/openapi"),
        Step(200, "POST", "sys/internal/specs/openapi", {"generic_mount_paths": True}),
    ]


def _mounts() -> list[Step]:
    return [
        Step(204, "POST", "sys/mounts/kv", {"type": "kv", "options": {"version": "2"}, "description": "versions"}),
        Step(204, "POST", "sys/mounts/old", {"type": "kv", "options": {"version": "1"}}),
        Step(204, "POST", "sys/mounts/con", {"type": "contract"}),
        Step(400, "POST", "sys/mounts/kv", {"type": "kv"}),
        Step(200, "GET", "sys/mounts"),
        Step(200, "GET", "sys/mounts/kv"),
        Step(400, "GET", "sys/mounts/none"),
        Step(204, "POST", "sys/mounts/kv/tune", {"description": "tuned", "default_lease_ttl": "1h", "listing_visibility": "unauth"}),
        Step(200, "GET", "sys/mounts/kv/tune"),
        Step(204, "POST", "sys/mounts/short", {"type": "kv"}),
        Step(204, "POST", "short/a", {"a": "b"}),
        Step(200, "POST", "sys/remount", {"from": "short", "to": "moved"}, keep={"move": "migration_id"}),
        Step(200, "GET", "sys/remount/status/{move}", loose=True),
        Step(200, "GET", "moved/a", until=True),
        Step(404, "GET", "short/a"),
        Step(204, "DELETE", "sys/mounts/moved"),
        Step(404, "GET", "moved/a"),
        Step(204, "POST", "sys/auth/userpass", {"type": "userpass"}),
        Step(204, "POST", "sys/auth/other", {"type": "userpass"}),
        Step(200, "GET", "sys/auth"),
        Step(200, "GET", "sys/auth/userpass"),
        Step(204, "POST", "sys/auth/userpass/tune", {"default_lease_ttl": "2h"}),
        Step(200, "GET", "sys/auth/userpass/tune"),
        Step(204, "DELETE", "sys/auth/other"),
        Step(400, "POST", "sys/auth/none", {"type": "nothing"}),
    ]


def _wrapping() -> list[Step]:
    return [
        Step(200, "POST", "sys/wrapping/wrap", {"a": "b"}, headers=WRAP, keep={"wrapped": "wrap_info.token"}),
        Step(200, "POST", "sys/wrapping/lookup", {"token": "{wrapped}"}, token="nobody"),
        Step(200, "GET", "sys/wrapping/lookup", token="wrapped"),
        Step(200, "POST", "sys/wrapping/rewrap", {"token": "{wrapped}"}, keep={"anew": "wrap_info.token"}),
        Step(400, "POST", "sys/wrapping/unwrap", {"token": "{wrapped}"}),
        Step(200, "POST", "sys/wrapping/unwrap", token="anew"),
        Step(400, "POST", "sys/wrapping/unwrap", {"token": "{anew}"}),
        Step(200, "GET", "sys/mounts/kv", headers=WRAP, keep={"read": "wrap_info.token"}),
        Step(200, "POST", "sys/wrapping/unwrap", {"token": "{read}"}),
        Step(200, "POST", "auth/token/create", {"policies": ["reads"]}, headers=WRAP, keep={"made": "wrap_info.token"}),
        Step(403, "POST", "sys/wrapping/unwrap", {"token": "{made}"}, token="nobody"),
        Step(200, "POST", "sys/wrapping/unwrap", {"token": "{made}"}, token="reader"),
        Step(404, "GET", "kv/data/none", headers=WRAP),
        Step(204, "POST", "old/wrapped", {"a": "b"}, headers=WRAP),
    ]


def _leases() -> list[Step]:
    steps = [Step(204, "POST", "con/world", {"folder": "{folder}"})]
    for number, (renew, revoke) in enumerate((("leases/renew", "leases/revoke"), ("renew", "revoke"))):
        name = f"con/creds/u{number}"
        steps += [
            Step(200, "GET", f"{name}?ttl=1h", keep={f"lease{number}": "lease_id"}),
            Step(200, "POST", "sys/leases/lookup", {"lease_id": f"{{lease{number}}}"}),
            Step(200, "LIST", "sys/leases/lookup/con/creds"),
            Step(200, "LIST", "sys/leases/lookup"),
            Step(200, "POST", f"sys/{renew}", {"lease_id": f"{{lease{number}}}", "increment": 1800}),
            Step(200, "POST", f"sys/{renew}/{{lease{number}}}", {}),
            Step(204, "POST", f"sys/{revoke}", {"lease_id": f"{{lease{number}}}", "sync": True}),
            Step(204, "POST", f"sys/{revoke}/{{lease{number}}}"),
            Step(400, "POST", "sys/leases/lookup", {"lease_id": f"{{lease{number}}}"}),
            Step(400, "POST", f"sys/{renew}", {"lease_id": f"{{lease{number}}}"}),
        ]
    steps += [
        Step(200, "POST", "con/creds/u9", {"ttl": "1h"}, headers=WRAP, keep={"creds": "wrap_info.token"}),
        Step(200, "POST", "sys/wrapping/unwrap", {"token": "{creds}"}, keep={"lease9": "lease_id"}),
        Step(204, "POST", "sys/leases/revoke-prefix/con/creds/u9"),
        Step(400, "POST", "sys/leases/lookup", {"lease_id": "{lease9}"}),
        Step(202, "POST", "sys/revoke-prefix/con/creds", {"sync": False}),
        Step(204, "POST", "sys/leases/revoke-force/con/creds"),
        Step(204, "POST", "sys/revoke-force/con/creds"),
        Step(200, "GET", "sys/leases?type=irrevocable"),
        Step(200, "GET", "sys/leases/count?type=irrevocable"),
        Step(202, "POST", "sys/leases/tidy"),
    ]
    return steps


def _keys_audit_tools() -> list[Step]:
    file = {"type": "file", "options": {"file_path": "{folder}/audit.log"}}
    return [
        Step(200, "GET", "sys/key-status"),
        Step(204, "POST", "sys/rotate"),
        Step(200, "GET", "sys/key-status"),
        Step(200, "GET", "sys/rotate/config"),
        Step(204, "POST", "sys/rotate/config", {"max_operations": 2_000_000, "interval": "720h"}),
        Step(200, "GET", "sys/rotate/config"),
        Step(200, "GET", "sys/audit"),
        Step(204, "POST", "sys/audit/file", file),
        Step(400, "POST", "sys/audit/file", file),
        Step(200, "GET", "sys/audit"),
        Step(200, "POST", "sys/audit-hash/file", {"input": "x"}),
        Step(204, "DELETE", "sys/audit/file"),
        Step(400, "POST", "sys/audit-hash/file", {"input": "x"}),
        *(Step(200, "POST", f"sys/tools/random{more}", {"bytes": 8, "format": "hex"}, loose=True) for more in ("", "/16", "/platform/16")),
        Step(200, "POST", "sys/tools/hash", {"input": "aGVsbG8="}),
        Step(200, "POST", "sys/tools/hash/sha2-512", {"input": "aGVsbG8=", "format": "base64"}),
        Step(400, "POST", "sys/tools/hash/md5", {"input": "aGVsbG8="}),
    ]


def _node() -> list[Step]:
    return [
        Step(200, "GET", "sys/health"),
        Step(200, "HEAD", "sys/health"),
        Step(200, "GET", "sys/health", token="nobody"),
        Step(200, "GET", "sys/seal-status"),
        Step(200, "GET", "sys/leader"),
        Step(200, "GET", "sys/ha-status"),
        Step(200, "GET", "sys/init"),
        Step(400, "POST", "sys/init", {"secret_shares": 1, "secret_threshold": 1}),
        Step(200, "POST", "sys/unseal", {"key": "{share}"}),
        Step(204, "POST", "sys/step-down"),
        Step(403, "POST", "sys/step-down", token="reader"),
        Step(200, "GET", "sys/metrics", loose=True),
        Step(200, "GET", "sys/metrics?format=prometheus", loose=True),
        Step(400, "GET", "sys/monitor?log_level=none"),
        Step(204, "POST", "sys/config/reload/license"),
        Step(200, "GET", "sys/replication/status", token="nobody"),
        Step(200, "GET", "sys/config/cors"),
        Step(204, "POST", "sys/config/cors", {"allowed_origins": "https://ui.example.com"}),
        Step(200, "GET", "sys/config/cors"),
        Step(403, "GET", "sys/health", headers={"Origin": "https://evil.example.org"}),
        Step(200, "GET", "sys/mounts", headers={"Origin": "https://ui.example.com"}),
        Step(200, "OPTIONS", "sys/mounts", headers={"Origin": "https://ui.example.com", "Access-Control-Request-Method": "GET"}),
        Step(400, "POST", "sys/config/cors", {}),
        Step(204, "DELETE", "sys/config/cors"),
        Step(204, "POST", "sys/config/auditing/request-headers/X-Ticket", {"hmac": True}),
        Step(200, "GET", "sys/config/auditing/request-headers/x-ticket"),
        Step(200, "GET", "sys/config/auditing/request-headers"),
        Step(204, "DELETE", "sys/config/auditing/request-headers/X-TICKET"),
        Step(400, "GET", "sys/config/auditing/request-headers/x-ticket"),
        Step(400, "POST", "sys/config/reload/none"),
        *(Step(400, method, f"sys/storage/raft/{path}", {} if method == "POST" else None) for method, path in (
            ("POST", "join"), ("POST", "bootstrap"), ("POST", "bootstrap/challenge"), ("POST", "bootstrap/answer"), ("POST", "promote"),
            ("POST", "demote"), ("GET", "configuration"), ("POST", "remove-peer"), ("GET", "snapshot"), ("POST", "snapshot"),
            ("POST", "snapshot-force"), ("GET", "autopilot/state"), ("GET", "autopilot/configuration"),
            ("POST", "autopilot/configuration"))),
    ]


def _refused() -> list[Step]:
    return [
        Step(403, "GET", "sys/mounts", token="nobody"),
        Step(403, "GET", "sys/mounts", token="reader"),
        Step(403, "POST", "sys/seal", token="reader"),
        Step(403, "GET", "none/at/all", token="reader"),
        Step(404, "GET", "none/at/all"),
        Step(404, "GET", "sys/none"),
        Step(405, "DELETE", "sys/mounts"),
        Step(400, "POST", "kv/data/a/", {"data": {}}),
        Step(200, "GET", "kv/data/a?help=1"),
        Step(200, "GET", "sys/mounts?help=1"),
    ]


def _contract() -> list[Step]:
    """What engines may do, beside what those of this program do."""
    return [
        Step(200, "GET", "con/token/t1", keep={"inside": "lease_id"}),
        Step(200, "LIST", "con/live"),
        Step(202, "POST", "sys/leases/revoke", {"lease_id": "{inside}", "sync": False}),
        Step(404, "LIST", "con/live", until=True),
        Step(200, "POST", "con/call/c1"),
        Step(500, "POST", "con/call/c2", {"how": "fail"}),
        Step(200, "GET", "con/heavy/some text"),
        Step(200, "POST", "con/heavy/some text", {"write": True}),
        Step(200, "GET", "con/count"),
        Step(200, "GET", "con/count"),
        Step(200, "POST", "con/spend/s1"),
        Step(200, "GET", "con/random/some text", loose=True),
        Step(202, "GET", "con/raw"),
        Step(204, "POST", "con/effect"),
    ]


def _end() -> list[Step]:
    return [
        Step(204, "DELETE", "sys/mounts/con"),
        Step(204, "DELETE", "sys/auth/userpass"),
        Step(204, "POST", "sys/seal"),
        Step(503, "GET", "sys/mounts"),
        Step(503, "GET", "sys/health"),
        Step(200, "GET", "sys/seal-status"),
        Step(200, "POST", "sys/unseal", {"key": "{share}"}),
        Step(200, "GET", "sys/health", until=True),
        Step(200, "GET", "sys/mounts", until=True),
    ]


SCRIPT: tuple[Step, ...] = (
    *_mounts(), *_policies(), *_kv_2(), *_kv_1(), *_tokens(), *_userpass(), *_wrapping(), *_leases(), *_keys_audit_tools(), *_node(),
    *_refused(), *_contract(), *_end(),
)
MOUNTED = {"sys/": ("system", ""), "kv/": ("kv", "2"), "old/": ("kv", "1"), "cubbyhole/": ("cubbyhole", ""), "auth/token/": ("token", ""),
           "auth/userpass/": ("userpass", ""), "identity/": ("identity", "")}
"""Where the script has what, for the question whether it leaves an operation out."""
ELSEWHERE = {("system", "GET", "monitor")}
"""Operations that other tests have: `sys/monitor` never ends."""
