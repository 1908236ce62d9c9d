"""Whatever is sent to any operation of the system and of the engines, in any order: an answer, and never one that says that we broke."""
from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.contract.one_node import Seen
from tests.unit.core.token_node import TokenNode

from holdfast.engine import Engine, Method, Op

ABOUT_KEYS = ("sys/key-status", "sys/rotate", "sys/rotate/config")     # a node in memory has no keyring
TEXTS = (
    "", "a", "b", "0", "1", "-1", "5m", "-5m", "1e9", "99999999999999h", "true", "x" * 600, "\0", "é", "a/b", "a/../b", "/", "a b", "*",
    "root", "default", "batch", "service", "default-service", "kv", "userpass", "file", "token", "hvs.", "hvb.x", "10.0.0.0/8", "::/129",
    'path "a" { capabilities = ["read"] }', 'path "{{identity.entity.id}}/*" { capabilities = ["sudo"] min_wrapping_ttl = "1s" }',
    "$2a$04$" + "a" * 53, "aGVsbG8=", "irrevocable", "secret", "kv1", "auth/userpass", "cubbyhole", "1,2,3")
PLAIN = (None, True, 0, 1, -1, 10 ** 9, (1 << 63) - 1, 1 << 63, 10 ** 30, 1.5, 1e300)
LISTS = ((), ("",), ("a", "b"), (1, 2), ((1,),), (None,))
NAMES = ("", "a", "cas", "version", "max_lease_ttl", "lockout_threshold", "file_path")
VALUES = st.sampled_from((*TEXTS, *PLAIN, *LISTS)) | st.dictionaries(
    st.sampled_from(NAMES), st.sampled_from((None, 0, 1, 1 << 62, "1", "1h", "b", ())), max_size=2)
SEGMENTS = st.sampled_from((
    "a", "b", "a/b", "secret", "kv1", "userpass", "auth/userpass", "root", "default", "é", "x" * 600, "*", "0", "-1", "sha2-256",
    "platform", "hvs.x", "a b", "\x7f"))


def operations(node: TokenNode) -> Iterator[tuple[str, Method, Op]]:
    """Path pattern, method and operation of all that is mounted, in a fixed order."""
    own: dict[str, Engine] = {engine.type: engine for engine in node.access.registry.engines()}
    mounted = {"sys/": node.access.router.system, "auth/token/": own["token"], "identity/": own["identity"], **node.mounts}
    for mount, engine in sorted(mounted.items()):
        if "contract" not in mount:                  # it misbehaves when told to
            for route in engine.routes:
                for method, op in sorted(route.ops.items()):
                    if mount + route.pattern not in ABOUT_KEYS:
                        yield mount + route.pattern, method, op


OPERATIONS = list(operations(TokenNode()))


@settings(max_examples=60)
@given(st.data())
def test_every_request_has_an_answer(data: st.DataObject) -> None:
    node, tokens = TokenNode(), [""]
    for _ in range(data.draw(st.integers(5, 25), label="requests")):
        seen = ask(node, data, data.draw(st.sampled_from(tokens), label="token"))
        assert seen.status < 500, seen.reply.body
        assert not node.defects
        if seen.status == 200 and seen.reply.body and (made := seen.json.get("auth")):
            tokens.append(made["client_token"])
        node.advance(data.draw(st.sampled_from((0, 0, 0, 60, 3_600, 86_400 * 40)), label="seconds"))
        node.run_due(limit=10_000)


def ask(node: TokenNode, data: st.DataObject, token: str) -> Seen:
    pattern, method, op = data.draw(st.sampled_from(OPERATIONS), label="operation")
    path = "/".join(data.draw(SEGMENTS) if segment[:1] in (":", "*") and segment else segment for segment in pattern.split("/"))
    names = st.sampled_from((*(field.name for field in op.fields()), "stranger"))
    fields = data.draw(st.dictionaries(names, VALUES, max_size=5), label="fields")
    wrap_ttl_s = data.draw(st.sampled_from((None, None, None, 60)))
    if method in (Method.POST, Method.PATCH):
        kind = "application/merge-patch+json" if method is Method.PATCH else "application/json"
        return node.call(method, path, fields, token=token, content_type=kind, wrap_ttl_s=wrap_ttl_s)
    query = {name: str(value) for name, value in fields.items()}
    return node.call(method, path, token=token, query=query, wrap_ttl_s=wrap_ttl_s)
