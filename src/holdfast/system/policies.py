"""sys/policies/acl and, under its old name, sys/policy. Source: Vault API, the pages of these names.

A text is parsed once, when it is written, and kept with what it says.
"""
import base64
import binascii
from typing import Annotated

from holdfast.core import policy_parse, policy_store
from holdfast.core.policy import Policy
from holdfast.engine import Context, Input, Keys, Method, Nothing, Output, Place, Response, Route, Txn, doc, listing, on
from holdfast.errors import BadRequest, NotFound
from holdfast.limits import POLICY_MAX_BYTES, POLICY_NAME_MAX, POLICY_PARSE_ON_LANE_MAX
from holdfast.replica import Why

NAME = doc("Name of the policy.")
OLD_FIELD = "'rules' is deprecated, please use 'policy' instead"


class PolicyName(Input, frozen=True):
    name: Annotated[str, NAME]


class PolicyInput(Input, frozen=True):
    name: Annotated[str, NAME]
    policy: Annotated[str, doc("Text of the policy: HCL or JSON, plain or in base64.")] = ""


class OldPolicyInput(PolicyInput, frozen=True):
    rules: Annotated[str, doc("The old name of `policy`.")] = ""


class OldKeys(Keys, frozen=True):
    policies: tuple[str, ...]


class PolicyOut(Output, frozen=True):
    name: str
    policy: str


class OldPolicyOut(Output, frozen=True):
    name: str
    rules: str


def list_policies(txn: Txn, args: Nothing, ctx: Context) -> Response:
    """List the policies that a token may be given."""
    return listing(policy_store.names(txn))


def list_policies_old(txn: Txn, args: Nothing, ctx: Context) -> Response:
    """List the policies that a token may be given."""
    names = policy_store.names(txn)
    return Response(data=OldKeys(keys=names, policies=names))


def read_policy(txn: Txn, args: PolicyName, ctx: Context) -> Response:
    """Show the text of a policy."""
    name, text = _found(txn, args.name)
    return Response(data=PolicyOut(name=name, policy=text))


def read_policy_old(txn: Txn, args: PolicyName, ctx: Context) -> Response:
    """Show the text of a policy."""
    name, text = _found(txn, args.name)
    return Response(data=OldPolicyOut(name=name, rules=text))


def write_policy(txn: Txn, args: PolicyInput, ctx: Context) -> Response:
    """Write a policy, or replace it."""
    _write(txn, args.name, args.policy, ctx)
    return Response(warnings=_converted(args.name))


def write_policy_old(txn: Txn, args: OldPolicyInput, ctx: Context) -> Response:
    """Write a policy, or replace it."""
    _write(txn, args.name, args.policy or args.rules, ctx)
    return Response(warnings=_converted(args.name) if args.policy else (*_converted(args.name), OLD_FIELD))


def delete_policy(txn: Txn, args: PolicyName, ctx: Context) -> Response:
    """Delete a policy; tokens that name it go on without it."""
    name = args.name.lower()
    if name in policy_store.IMMUTABLE:
        raise BadRequest(f'cannot delete "{name}" policy')
    if name == policy_store.DEFAULT:
        raise BadRequest("cannot delete default policy")
    if policy_store.POLICIES.exists(txn, name):
        policy_store.POLICIES.delete(txn, name)
    return Response()


def decoded(text: str) -> str:
    """The text of a policy, taken out of base64 if it is in it. Raises BadRequest: it holds no text."""
    try:
        return base64.b64decode("".join(text.splitlines()), validate=True).decode()
    except UnicodeDecodeError as error:
        raise BadRequest("failed to parse policy: the base64 holds no UTF-8 text") from error
    except (binascii.Error, ValueError):
        return text                                  # no base64: the text itself


def parsed(text: str) -> Policy | str:
    """The policy, or what is wrong with it: a result that can wait in a memo, where an exception cannot."""
    try:
        return policy_parse.parse(text)
    except BadRequest as error:
        return error.messages[0]


ROUTES = (
    Route("policies/acl", "The policies of the cluster.", {Method.LIST: on(Nothing, list_policies)}),
    Route("policies/acl/*name", "One policy: what its holders may do on which paths.", {
        Method.GET: on(PolicyName, read_policy), Method.POST: on(PolicyInput, write_policy), Method.DELETE: on(PolicyName, delete_policy),
    }),
    Route("policy", "The policies of the cluster, under their old path.", {
        method: on(Nothing, list_policies_old, top_level=True) for method in (Method.GET, Method.LIST)
    }),
    Route("policy/*name", "One policy, under its old path.", {
        Method.GET: on(PolicyName, read_policy_old, top_level=True), Method.POST: on(OldPolicyInput, write_policy_old, top_level=True),
        Method.DELETE: on(PolicyName, delete_policy, top_level=True),
    }),
)


def _found(txn: Txn, name: str) -> tuple[str, str]:
    name = name.lower()
    text = policy_store.text(txn, name)
    if text is None:
        raise NotFound
    return name, text


def _converted(name: str) -> tuple[str, ...]:
    return () if name == name.lower() else (f"policy name was converted to {name.lower()}",)


def _write(txn: Txn, name: str, text: str, ctx: Context) -> None:
    name = name.lower()
    if not name:
        raise BadRequest("policy name must be provided in the URL")
    if len(name) > POLICY_NAME_MAX:
        raise BadRequest(f"the name of a policy has at most {POLICY_NAME_MAX} characters")
    if not text:
        raise BadRequest("'policy' parameter not supplied or empty")
    if len(text) > 2 * POLICY_MAX_BYTES:
        raise BadRequest(f"a policy has at most {POLICY_MAX_BYTES} bytes")
    text = decoded(text)
    size = len(text.encode())
    if size > POLICY_MAX_BYTES:
        raise BadRequest(f"a policy has at most {POLICY_MAX_BYTES} bytes")
    if size > POLICY_PARSE_ON_LANE_MAX:
        txn.need(Place.ACTIVE, Why.WRITE)                # what it is taken apart into goes to no other process of the node
        found = ctx.heavy(parsed, text)
    else:
        found = parsed(text)
    if isinstance(found, str):
        raise BadRequest(found)
    if name in policy_store.IMMUTABLE:
        raise BadRequest(f'cannot update "{name}" policy')
    policy_store.write(txn, name, text, found)
