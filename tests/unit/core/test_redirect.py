"""Where a client is sent that is not to be served through this node, and what is asked before a node answers at all."""
import msgspec
import pytest
from msgspec.structs import replace
from tests.contract.one_node import FACTS, OneNode

from holdfast.core import redirect, token_format
from holdfast.core.outcome import Answer, Do, Forward
from holdfast.core.tokens import load_names
from holdfast.crypto import Secret
from holdfast.engine import Client, Inconsistent, Listener, Method, Place, Reply, Request
from holdfast.engine.effect import CollectMetrics
from holdfast.ids import Index, RequestId
from holdfast.replica import Why

STANDBY = replace(FACTS, is_active=False, ha_enabled=True, active_api_address="https://one.example:8200/below/it")
PERFORMANCE = replace(STANDBY, performance_standby=True)


def request(path: str, method: Method = Method.GET, **more: object) -> Request:
    return Request(id=RequestId("r"), method=method, path=path, client=Client(address="192.0.2.1"), **more)  # type: ignore[arg-type]


def location(reply: Reply | None) -> str:
    assert reply is not None
    assert (reply.status, reply.body, reply.content_type) == (307, b"", "")
    return dict(reply.headers)["Location"]


def test_a_file_is_sent_to_no_other_node() -> None:
    asked = request("sys/storage/raft/snapshot", Method.POST, upload=True)
    assert location(redirect.instead(asked, STANDBY)) == "https://one.example:8200/v1/sys/storage/raft/snapshot"


def test_only_who_asks_for_it_is_redirected() -> None:
    for path in ("secret/data/a", "sys/storage/raft/snapshot"):
        assert redirect.instead(request(path), STANDBY) is None
        assert location(redirect.instead(request(path, no_forwarding=True), STANDBY)) == f"https://one.example:8200/v1/{path}"


@pytest.mark.parametrize(("address", "expected"), [
    ("https://a:8200", "https://a:8200"), ("http://a:8200/x/y", "http://a:8200"), ("a:8200", "https://a:8200"),
    ("https://[2001:db8::1]:8200/", "https://[2001:db8::1]:8200"),
])
def test_of_the_address_scheme_and_host_count(address: str, expected: str) -> None:
    assert location(redirect.to_active(request("sys/mounts"), replace(STANDBY, active_api_address=address))) == f"{expected}/v1/sys/mounts"


def test_path_and_query_arrive_as_they_were_meant() -> None:
    asked = request("kv/a b/ü?%/c", query={"version": "2", "x": "a&b=c"})
    assert location(redirect.to_active(asked, STANDBY)).partition("/v1/")[2] == "kv/a%20b/%C3%BC%3F%25/c?version=2&x=a%26b%3Dc"
    assert location(redirect.to_active(request("kv/", Method.LIST), STANDBY)).endswith("/v1/kv/?list=true")
    assert location(redirect.to_active(request("kv/a", Method.POST, unread_query={"x": "a b"}), STANDBY)).endswith("/v1/kv/a?x=a+b")
    split = request("kv/a\r\nX-Evil: 1")
    assert "\r" not in location(redirect.to_active(split, STANDBY))


def test_without_an_active_node_or_sealed() -> None:
    unknown = redirect.to_active(request("sys/mounts"), replace(STANDBY, active_api_address=""))
    assert (unknown.status, msgspec.json.decode(unknown.body)) == (503, {"errors": ["no active Vault instance found"]})
    sealed = redirect.to_active(request("sys/mounts"), replace(STANDBY, sealed=True))
    assert (sealed.status, msgspec.json.decode(sealed.body)) == (503, {"errors": ["Vault is sealed"]})


@pytest.fixture
def node() -> OneNode:
    made = OneNode()
    made.facts = PERFORMANCE
    return made


@pytest.mark.parametrize("more", [
    {"wants_active": True}, {"inconsistent": Inconsistent.FORWARD}, {"wants_active": True, "inconsistent": Inconsistent.FORWARD},
])
def test_forwarding_by_header_is_refused_unless_it_is_allowed(node: OneNode, more: dict[str, object]) -> None:
    asked = replace(node.request(Method.GET, "sys/mounts"), **more)
    refused = node.attempt(asked, Place.WORKER)
    assert isinstance(refused, Answer)
    assert refused.reply.status == 400
    assert b"allow_forwarding_via_header" in refused.reply.body
    node.facts = replace(PERFORMANCE, allow_forwarding_via_header=True)
    allowed = node.attempt(asked, Place.WORKER)
    if "wants_active" in more:
        assert isinstance(allowed, Forward)
        assert (allowed.to, allowed.why) == (Place.ACTIVE, Why.ASKED)
    else:
        assert isinstance(allowed, Answer), "nothing is missing here"
        assert allowed.reply.status == 200


def test_what_is_about_this_node_is_never_passed_on(node: OneNode) -> None:
    """Peer behaviour: metrics of a plain standby want no token that it could not judge; a listener may open them."""
    metrics = node.request(Method.GET, "sys/metrics")
    monitor = node.request(Method.GET, "sys/monitor")
    assert isinstance(node.attempt(metrics, Place.MAIN), Do)
    node.has_lease = False
    for asked in (metrics, monitor):
        node.facts = STANDBY
        outcome = node.attempt(asked, Place.WORKER)
        assert isinstance(outcome, Answer)
        assert outcome.reply.status == 400
        assert b"cannot forward local-only request" in outcome.reply.body
        node.facts = PERFORMANCE
        assert isinstance(node.attempt(asked, Place.MAIN), Do), "its lease has lapsed for a moment"
    node.facts = STANDBY
    opened = node.attempt(replace(metrics, token=None, listener=Listener(open_metrics=True)), Place.MAIN)
    assert isinstance(opened, Do)
    assert opened.effect == CollectMetrics(prometheus=False)


def test_nor_for_a_token_that_is_not_known_here_yet(node: OneNode) -> None:
    """Found by the simulation: the active node sealed itself in the place of a standby that was asked to, and then its successor did."""
    key = node._txn(Place.MAIN).derive(load_names).index
    ahead = Secret(token_format.service("r" * 24, Index(1_000), key).encode())
    node.facts = PERFORMANCE
    for has_lease in (True, False):
        node.has_lease = has_lease
        passed_on = node.attempt(replace(node.request(Method.GET, "sys/mounts"), token=ahead), Place.MAIN)
        assert isinstance(passed_on, Forward)
        refused = node.attempt(replace(node.request(Method.POST, "sys/seal"), token=ahead), Place.MAIN)
        assert isinstance(refused, Answer)
        assert refused.reply.status == 403
