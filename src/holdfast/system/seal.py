"""sys/init, sys/unseal, sys/seal, sys/step-down: what an operator does to a node. Source: Vault API, the pages of these names.

Each is an effect, carried out by main: what they change is not in the replica.
"""
import base64
import binascii
import re
from typing import Annotated

import msgspec

from holdfast.crypto import Secret
from holdfast.engine import Context, Input, Method, Natural, Nothing, Perform, Raw, Response, Route, Txn, doc, on
from holdfast.engine.effect import Init, Seal, StepDown, Unseal
from holdfast.errors import BadRequest, RequestError
from holdfast.limits import SHARE_TEXT_MAX
from holdfast.system.status import is_initialized

_HEX = re.compile(r"(?:[0-9A-Fa-f]{2}){32,33}")      # another length is no key's: base64 that happens to have only such letters


class StandbyIsNotSealed(RequestError):
    """Source: Vault, which lets only an active node and a performance standby be sealed by a request."""

    status = 500


class InitInput(Input, frozen=True):
    secret_shares: Annotated[Natural, doc("Number of shares of the unseal key.")] = 0
    secret_threshold: Annotated[Natural, doc("Number of shares that unseal.")] = 0
    stored_shares: Annotated[Natural, doc("Kept for old clients.")] = 0
    pgp_keys: Annotated[list[str] | None, doc("Not supported.")] = None
    root_token_pgp_key: Annotated[str, doc("Not supported.")] = ""
    recovery_shares: Annotated[Natural, doc("Number of shares of the recovery key.")] = 0
    recovery_threshold: Annotated[Natural, doc("Number of shares that recover.")] = 0
    recovery_pgp_keys: Annotated[list[str] | None, doc("Not supported.")] = None


class UnsealInput(Input, frozen=True):
    key: Annotated[str, doc("A share of the unseal key, in hex or base64.")] = ""
    reset: Annotated[bool, doc("Forget the shares given so far.")] = False
    migrate: Annotated[bool, doc("Go on with a change of the seal.")] = False


class InitStatus(msgspec.Struct, frozen=True):
    initialized: bool


def read_init(txn: Txn, args: Nothing, ctx: Context) -> Raw:
    """Tell whether the cluster is initialised."""
    return Raw(status=200, body=msgspec.json.encode(InitStatus(is_initialized(ctx.facts))) + b"\n")


def init(txn: Txn, args: InitInput, ctx: Context) -> Perform:
    """Initialise the cluster: make its keys, its first token and what it starts with."""
    if is_initialized(ctx.facts):
        raise BadRequest("Vault is already initialized")
    if args.pgp_keys or args.recovery_pgp_keys or args.root_token_pgp_key:
        raise BadRequest("pgp_keys, recovery_pgp_keys and root_token_pgp_key are not supported")
    if ctx.facts.recovery_seal:
        if args.secret_shares or args.secret_threshold:
            raise BadRequest(f"parameters secret_shares,secret_threshold not applicable to seal type {ctx.facts.seal_type}")
    elif args.recovery_shares or args.recovery_threshold:
        raise BadRequest(f"parameters recovery_shares,recovery_threshold not applicable to seal type {ctx.facts.seal_type}")
    return Perform(Init(shares=args.secret_shares, threshold=args.secret_threshold, recovery_shares=args.recovery_shares,
                        recovery_threshold=args.recovery_threshold))


def unseal(txn: Txn, args: UnsealInput, ctx: Context) -> Perform:
    """Give one share of the unseal key, or forget those given."""
    if args.reset:
        return Perform(Unseal(share=None, listener=ctx.request.listener))
    if not args.key:
        raise BadRequest("'key' must be specified in request body as JSON, or 'reset' set to true")
    return Perform(Unseal(share=read_share(args.key), listener=ctx.request.listener, migrate=args.migrate))


def read_share(text: str) -> Secret:
    """A share however it was written: hex first, then base64. Raises BadRequest."""
    if _HEX.fullmatch(text):
        return Secret(bytes.fromhex(text))
    if len(text) <= SHARE_TEXT_MAX:
        try:
            return Secret(base64.b64decode(text, validate=True))
        except (binascii.Error, ValueError):
            pass                                     # refused below
    raise BadRequest("'key' must be a valid hex or base64 string")


def seal(txn: Txn, args: Nothing, ctx: Context) -> Response:
    """Seal this node: it forgets its keys and answers nothing until it is unsealed."""
    facts = ctx.facts
    if facts.ha_enabled and not (facts.sealed or facts.is_active or facts.performance_standby):
        raise StandbyIsNotSealed("vault cannot seal when in standby mode; please restart instead")
    if not facts.sealed:                             # sealed already: true whoever asks, and no token could be checked
        ctx.effect(Seal())
    return Response()


def step_down(txn: Txn, args: Nothing, ctx: Context) -> Response:
    """Give the active role to another node, whichever node is asked; without others, nothing happens."""
    if ctx.facts.ha_enabled:
        ctx.effect(StepDown())
    return Response()


ROUTES = (
    Route("init", "Initialisation of the cluster.", {
        Method.GET: on(Nothing, read_init, public=True, sealed=True, local=True),
        Method.POST: on(InitInput, init, public=True, sealed=True, local=True, any_case=True),
    }),
    Route("unseal", "Unsealing of this node, share by share.", {
        Method.POST: on(UnsealInput, unseal, public=True, sealed=True, local=True, any_case=True),
    }),
    Route("seal", "Sealing of this node.", {Method.POST: on(Nothing, seal, sudo=True, sealed=True, local=True)}),
    Route("step-down", "Change of the active node.", {Method.POST: on(Nothing, step_down, sudo=True)}),
)
