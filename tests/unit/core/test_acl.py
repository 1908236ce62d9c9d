"""What can be said of an operation once and for all, and what has to be asked at each request."""
import pytest

from holdfast.core.acl import ROOT_RULES, Rules, permits_always
from holdfast.core.acl_match import Permissions
from holdfast.core.policy import Capability
from holdfast.engine import Context, Given, Input, Method, Op, Response, Txn, on

C = Capability


def handler(txn: Txn, args: Input, ctx: Context) -> Response:
    """Do nothing."""
    return Response()


def is_there(txn: Txn, given: Given) -> bool:
    return True


PLAIN, SUDO, CREATES = on(Input, handler), on(Input, handler, sudo=True), on(Input, handler, exists=is_there)


def rules(*capabilities: Capability, **said: object) -> Rules:
    return Rules(found=Permissions(capabilities=frozenset(capabilities), **said))  # type: ignore[arg-type]


@pytest.mark.parametrize(("method", "needed"), [
    (Method.GET, C.READ), (Method.HEAD, C.READ), (Method.LIST, C.LIST), (Method.POST, C.UPDATE), (Method.PATCH, C.PATCH),
    (Method.DELETE, C.DELETE),
])
def test_each_method_needs_one_capability(method: Method, needed: Capability) -> None:
    assert permits_always(rules(needed), PLAIN, method)
    assert not permits_always(rules(*(set(C) - {needed, C.DENY})), PLAIN, method)


@pytest.mark.parametrize("op", [PLAIN, SUDO, CREATES])
def test_root_is_never_asked(op: Op) -> None:
    assert all(permits_always(ROOT_RULES, op, method) for method in Method)


def test_help_is_for_every_token() -> None:
    assert permits_always(Rules(), PLAIN, Method.HELP)
    assert permits_always(rules(C.DENY), SUDO, Method.HELP)


def test_no_stanza_no_permission() -> None:
    assert not any(permits_always(Rules(), PLAIN, method) for method in Method if method is not Method.HELP)


def test_sudo() -> None:
    assert not permits_always(rules(C.READ), SUDO, Method.GET)
    assert not permits_always(rules(C.SUDO), SUDO, Method.GET)
    assert permits_always(rules(C.READ, C.SUDO), SUDO, Method.GET)


def test_whether_a_write_creates_is_asked_unless_both_are_granted() -> None:
    assert permits_always(rules(C.CREATE, C.UPDATE), CREATES, Method.POST)
    assert not permits_always(rules(C.UPDATE), CREATES, Method.POST)
    assert not permits_always(rules(C.CREATE), CREATES, Method.POST)


@pytest.mark.parametrize("said", [
    {"allowed": {"a": ()}}, {"denied": {"a": ()}}, {"required": ("a",)}, {"min_wrapping_ttl_s": 1}, {"max_wrapping_ttl_s": 1},
])
def test_rules_on_what_comes_with_a_request_are_asked_at_each(said: dict[str, object]) -> None:
    assert not permits_always(rules(C.READ, **said), PLAIN, Method.GET)
