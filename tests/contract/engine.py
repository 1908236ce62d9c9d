"""An engine for tests alone: does once whatever the contract between engines and core has a word for, and misbehaves when told to.

`world`           the folder of `tests.contract.world` that stands for the outside
`creds/:name`     a leased secret made outside, with undo; how making, renewing and revoking go is said by the caller
`token/:name`     a leased secret without an outside: revoking deletes a key
`call/:name`      an outside call, without undo or lease, and a write after it
`heavy/:text`     heavy computing, and a write where asked for
`count`           the memory of the active node
`spend/:name`     a use that stays, whatever comes after it
`many/:count`     a job that writes, or deletes, so many keys in small batches
`stumble/:times`  a job that raises so many times before it does its work
`random`          randomness, which a run started again sees again
`stream`, `effect`, `raw`  what is no value
`misbehave/:how`  see `misbehaviour.MISBEHAVIOURS`
`login/:name`     a login without a password, as an auth method (engine `CONTRACT_AUTH`)
"""
import hashlib
from dataclasses import dataclass
from typing import Annotated

import msgspec
from tests.contract import world
from tests.contract.misbehaviour import MISBEHAVIOURS

from holdfast.engine import (
    Context,
    Duration,
    Engine,
    Input,
    Job,
    Leased,
    LeaseHandler,
    Login,
    Method,
    Natural,
    Nothing,
    Output,
    Perform,
    Raw,
    Renewal,
    Response,
    Result,
    Route,
    Strings,
    Table,
    TokenParams,
    Txn,
    doc,
    listing,
    on,
    seconds,
    strings,
)
from holdfast.engine.effect import Monitor, Reload
from holdfast.errors import BadRequest, LoginFailed, NotFound
from holdfast.limits import JOB_KEYS_MAX


class Settings(msgspec.Struct, frozen=True):
    folder: str


class Cred(msgspec.Struct, frozen=True, kw_only=True):
    """The record of a lease: all that renewing and revoking need."""

    name: str
    revoke: str
    renew: str
    ttl_s: int
    max_ttl_s: int


SETTINGS = Table("settings", Settings, cached=True)
LIVE = Table("live/", Settings)
_encode = msgspec.json.Encoder().encode
_decode_cred = msgspec.json.Decoder(Cred).decode


@dataclass
class Counter:
    """Kept in the active node's memory."""

    count: int = 0


class WorldInput(Input, frozen=True):
    folder: Annotated[str, doc("Where the outside is.")]


class CredsInput(Input, frozen=True):
    name: Annotated[str, doc("Name of the user.")]
    create: Annotated[str, doc("How making it goes.")] = "ok"
    undo: Annotated[str, doc("How undoing goes.")] = "ok"
    renew: Annotated[str, doc("How renewing goes.")] = "ok"
    revoke: Annotated[str, doc("How revoking goes.")] = "ok"
    within_ms: Annotated[Natural, doc("The call's time.")] = 2_000
    ttl: Annotated[Duration, doc("Of the lease.")] = None
    max_ttl: Annotated[Duration, doc("Of the lease.")] = None
    renewable: Annotated[bool, doc("Whether the lease is.")] = True
    then: Annotated[str, doc("After the call: `ok`, or `refuse`: the handler finds that it must not.")] = "ok"


class NameInput(Input, frozen=True):
    name: Annotated[str, doc("Any name.")]
    how: Annotated[str, doc("How it goes.")] = "ok"


class HeavyInput(Input, frozen=True):
    text: Annotated[str, doc("What to compute on.")]
    write: Annotated[bool, doc("Whether to write the result down.")] = False


class CountInput(Input, frozen=True):
    count: Annotated[Natural, doc("How many.")]


class HowInput(Input, frozen=True):
    how: Annotated[str, doc("Name of a misbehaviour.")]


class LoginInput(Input, frozen=True):
    name: Annotated[str, doc("Who logs in.")]
    policies: Annotated[Strings, doc("Of the token.")] = None
    ttl: Annotated[Duration, doc("Of the token.")] = None
    num_uses: Annotated[Natural, doc("Of the token.")] = 0
    fail: Annotated[bool, doc("Whether the credentials are wrong.")] = False


class CredOut(Output, frozen=True):
    name: str
    password: str


class ValueOut(Output, frozen=True):
    value: str


def set_world(txn: Txn, args: WorldInput, ctx: Context) -> Response:
    """Say where the outside is."""
    SETTINGS.put(txn, "", Settings(args.folder))
    return Response()


def creds(txn: Txn, args: CredsInput, ctx: Context) -> Response:
    """Make a user outside, with a lease."""
    folder, uses = _folder(txn), txn.get("uses") or b""
    cred = Cred(name=args.name, revoke=args.revoke, renew=args.renew, ttl_s=seconds(args.ttl, "ttl"), max_ttl_s=seconds(args.max_ttl,
                                                                                                                        "max_ttl"))
    undo = Job(kind="drop-user", record=_encode(msgspec.structs.replace(cred, revoke=args.undo)))
    password = ctx.outside(world.create, folder, args.name, args.create, within_ms=args.within_ms, undo=undo)
    txn.put("uses", uses + b".")                         # a handler may write on both sides of its call; this side alone counts
    if args.then == "refuse":
        raise BadRequest("refused after the call")
    return Response(data=CredOut(name=args.name, password=password),
                    leased=Leased(kind="creds", record=_encode(cred), ttl_s=cred.ttl_s, max_ttl_s=cred.max_ttl_s, renewable=args.renewable))


def renew_creds(txn: Txn, record: bytes, ctx: Context) -> Leased:
    cred = _decode_cred(record)
    ctx.outside(world.extend, _folder(txn), cred.name, cred.renew, within_ms=2_000)
    return Leased(kind="creds", record=record, ttl_s=cred.ttl_s, max_ttl_s=cred.max_ttl_s)


def revoke_creds(txn: Txn, record: bytes, ctx: Context) -> None:
    cred = _decode_cred(record)
    ctx.outside(world.drop, _folder(txn), cred.name, cred.revoke, within_ms=500)


def drop_user(txn: Txn, job: Job, ctx: Context) -> None:
    """The undo of `creds`."""
    revoke_creds(txn, job.record, ctx)


def make_token(txn: Txn, args: CredsInput, ctx: Context) -> Response:
    """Make a leased secret that is a key of this mount."""
    name = f"{args.name}-{ctx.rng.uuid()}"
    LIVE.put(txn, name, Settings(args.name))
    return Response(data=ValueOut(value=name), leased=Leased(kind="token", record=name.encode(), ttl_s=seconds(args.ttl, "ttl"),
                                                             max_ttl_s=seconds(args.max_ttl, "max_ttl"), renewable=args.renewable))


def revoke_token(txn: Txn, record: bytes, ctx: Context) -> None:
    LIVE.delete(txn, record.decode())


def renew_token(txn: Txn, record: bytes, ctx: Context) -> Leased:
    return Leased(kind="token", record=record)


def list_live(txn: Txn, args: Nothing, ctx: Context) -> Response:
    """List what is leased and lives."""
    return listing(LIVE.list(txn))


def call(txn: Txn, args: NameInput, ctx: Context) -> Response:
    """Call out, then write."""
    password = ctx.outside(world.create, _folder(txn), args.name, args.how, within_ms=2_000)
    txn.put(f"called/{args.name}", password.encode())
    return Response(data=ValueOut(value=password))


def heavy(txn: Txn, args: HeavyInput, ctx: Context) -> Response:
    """Compute, and write the result down where asked for."""
    digest = ctx.heavy(digest_of, args.text, 100_000)
    if args.write:
        txn.put(f"heavy/{args.text}", digest.encode())
    return Response(data=ValueOut(value=digest))


def digest_of(text: str, rounds: int) -> str:
    """Some tens of milliseconds."""
    return hashlib.pbkdf2_hmac("sha256", text.encode(), b"salt", rounds).hex()


def count(txn: Txn, args: Nothing, ctx: Context) -> Response:
    """Count in the active node's memory."""
    counter = ctx.active(Counter)
    counter.count += 1
    return Response(data=ValueOut(value=str(counter.count)))


def spend(txn: Txn, args: NameInput, ctx: Context) -> Response:
    """Spend a use, write a key, and end as told: `ok`, `refuse` or `break`."""
    used = int(txn.get(f"spent/{args.name}") or b"0") + 1
    txn.spend(f"spent/{args.name}", str(used).encode())
    txn.put(f"kept/{args.name}", b"1")
    if args.how == "refuse":
        raise BadRequest("refused after a use")
    if args.how == "break":
        raise ZeroDivisionError("broken after a use")
    return Response(data=ValueOut(value=str(used)))


def fill(txn: Txn, args: CountInput, ctx: Context) -> Response:
    """Write so many keys, by a job."""
    ctx.job(Job(kind="fill", record=str(args.count).encode()))
    return Response()


def clear(txn: Txn, args: CountInput, ctx: Context) -> Response:
    """Delete so many keys, by a job."""
    ctx.job(Job(kind="clear", record=str(args.count).encode()))
    return Response()


def fill_some(txn: Txn, job: Job, ctx: Context) -> Job | None:
    done, all_ = int(job.cursor or 0), int(job.record)
    for number in range(done, min(done + JOB_KEYS_MAX, all_)):
        txn.put(f"many/{number:08d}", b"1")
    return job.after(str(done + JOB_KEYS_MAX)) if done + JOB_KEYS_MAX < all_ else None


def clear_some(txn: Txn, job: Job, ctx: Context) -> Job | None:
    done, all_ = int(job.cursor or 0), int(job.record)
    for number in range(done, min(done + JOB_KEYS_MAX, all_)):
        txn.delete(f"many/{number:08d}")
    return job.after(str(done + JOB_KEYS_MAX)) if done + JOB_KEYS_MAX < all_ else None


def stumble(txn: Txn, args: CountInput, ctx: Context) -> Response:
    """A job that raises so many times before it does its work."""
    ctx.job(Job(kind="stumble", record=str(args.count).encode()))
    return Response()


def stumble_on(txn: Txn, job: Job, ctx: Context) -> None:
    txn.put("stumbled", str(job.attempts).encode())      # dropped each time that it raises
    if job.attempts < int(job.record):
        raise OSError(f"stumbled {job.attempts}")


def random(txn: Txn, args: HeavyInput, ctx: Context) -> Response:
    """Draw, compute, draw: started again, a run draws the same."""
    first = ctx.rng.uuid()
    digest = ctx.heavy(digest_of, args.text, 1)
    return Response(data=ValueOut(value=f"{first} {digest[:8]} {ctx.rng.bytes(8).hex()}"))


def stream(txn: Txn, args: Nothing, ctx: Context) -> Result:
    """A stream of this node."""
    return Perform(Monitor(level="info"))


def effect(txn: Txn, args: Nothing, ctx: Context) -> Response:
    """An effect beside a write."""
    ctx.effect(Reload("audit"))
    txn.put("effect", b"1")
    return Response()


def raw(txn: Txn, args: Nothing, ctx: Context) -> Result:
    """Bytes with a type of their own."""
    return Raw(status=202, body=b"\x00\x01\x02", content_type="application/octet-stream")


def misbehave(txn: Txn, args: HowInput, ctx: Context) -> Result:
    """Misbehave."""
    how = MISBEHAVIOURS.get(args.how)
    if how is None:
        raise NotFound
    return how(txn, ctx)


def log_in(txn: Txn, args: LoginInput, ctx: Context) -> Response:
    """Log in as whoever one says."""
    if args.fail:
        raise LoginFailed("invalid credentials")
    return Response(login=Login(alias=args.name, display_name=args.name, metadata={"name": args.name}, internal={"kept": "with the token"},
                                token=TokenParams(policies=strings(args.policies), ttl_s=seconds(args.ttl, "ttl"), num_uses=args.num_uses)))


def renew_login(txn: Txn, renewal: Renewal, ctx: Context) -> TokenParams:
    if txn.get(f"gone/{renewal.alias}") is not None:
        raise BadRequest(f"{renewal.alias} has gone")
    assert renewal.internal == {"kept": "with the token"}
    return TokenParams(policies=renewal.policies)


def forget(txn: Txn, args: NameInput, ctx: Context) -> Response:
    """From now on this name's tokens are not renewed."""
    txn.put(f"gone/{args.name}", b"1")
    return Response()


def _folder(txn: Txn) -> str:
    settings = SETTINGS.get(txn)
    if settings is None:
        raise BadRequest("no world is set")
    return settings.folder


CONTRACT = Engine(
    type="contract",
    jobs={"drop-user": drop_user, "fill": fill_some, "clear": clear_some, "stumble": stumble_on},
    leases={"creds": LeaseHandler(revoke=revoke_creds, renew=renew_creds), "token": LeaseHandler(revoke=revoke_token, renew=renew_token)},
    routes=(
        Route("world", "The outside.", {Method.POST: on(WorldInput, set_world)}),
        Route("creds/:name", "Leased, outside.", {Method.GET: on(CredsInput, creds), Method.POST: on(CredsInput, creds)}),
        Route("token/:name", "Leased, inside.", {Method.GET: on(CredsInput, make_token), Method.POST: on(CredsInput, make_token)}),
        Route("live", "What is leased inside.", {Method.LIST: on(Nothing, list_live)}),
        Route("call/:name", "An outside call.", {Method.POST: on(NameInput, call)}),
        Route("heavy/:text", "Heavy computing.", {Method.GET: on(HeavyInput, heavy), Method.POST: on(HeavyInput, heavy)}),
        Route("count", "Memory of the active node.", {Method.GET: on(Nothing, count)}),
        Route("spend/:name", "A use.", {Method.POST: on(NameInput, spend)}),
        Route("many/:count", "Many keys.", {Method.POST: on(CountInput, fill), Method.DELETE: on(CountInput, clear)}),
        Route("stumble/:count", "A job that fails at first.", {Method.POST: on(CountInput, stumble)}),
        Route("random/:text", "Randomness.", {Method.GET: on(HeavyInput, random)}),
        Route("stream", "A stream.", {Method.GET: on(Nothing, stream)}),
        Route("effect", "An effect.", {Method.POST: on(Nothing, effect)}),
        Route("raw", "Bytes.", {Method.GET: on(Nothing, raw)}),
        Route("misbehave/:how", "A defect.", {Method.GET: on(HowInput, misbehave), Method.POST: on(HowInput, misbehave)}),
    ))

CONTRACT_AUTH = Engine(type="contract", is_auth=True, renew_login=renew_login, routes=(
    Route("login/:name", "A login.", {Method.POST: on(LoginInput, log_in, public=True, alias=lambda args: args.name)}),
    Route("forget/:name", "The end of a name.", {Method.POST: on(NameInput, forget)}),
))
