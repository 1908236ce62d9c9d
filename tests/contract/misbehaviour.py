"""What an engine must not do, and what a defect or a hostile change in one may do. Each takes the handler's place.

What must hold, whatever the engine does: an attempt that has been stopped does not count (the pipeline looks at `txn.stop` alone); a
handler that raises leaves no write, no job and no effect; a batch that is too large changes nothing; nothing derived has written.
"""
from collections.abc import Callable
from typing import TypeAlias, cast

from holdfast.engine import Context, Job, Response, Result, Txn
from holdfast.engine.effect import Reload
from holdfast.errors import BadRequest
from holdfast.limits import BATCH_CHANGES_MAX, BATCH_MAX_BYTES

Misbehaviour: TypeAlias = Callable[[Txn, Context], Result]
FINE = Response(warnings=("all went well, says the engine",))


def swallow_put(txn: Txn, ctx: Context) -> Result:
    """Takes the end of the attempt for an error that it can pass over."""
    try:
        txn.put("a", b"1")
    except BaseException:  # noqa: BLE001
        return FINE
    return FINE


def swallow_then_read(txn: Txn, ctx: Context) -> Result:
    swallow_put(txn, ctx)
    try:
        txn.get("a")
        txn.list()
    except BaseException:  # noqa: BLE001
        return FINE
    return FINE


def swallow_then_write(txn: Txn, ctx: Context) -> Result:
    for key in ("a", "b", "c"):
        try:
            txn.put(key, b"1")
        except BaseException:  # noqa: BLE001
            continue
    return FINE


def swallow_and_wrap(txn: Txn, ctx: Context) -> Result:
    """Says it in words of its own (peer bug 25)."""
    try:
        txn.put("a", b"1")
    except BaseException as error:
        raise BadRequest(f"failed to write: {error}") from error
    return FINE


def swallow_and_break(txn: Txn, ctx: Context) -> Result:
    try:
        txn.put("a", b"1")
    except BaseException as error:
        raise ZeroDivisionError from error
    return FINE


def swallow_heavy(txn: Txn, ctx: Context) -> Result:
    try:
        value = ctx.heavy(str, 5)
    except BaseException:  # noqa: BLE001
        return FINE
    return Response(warnings=(value,))


def swallow_outside(txn: Txn, ctx: Context) -> Result:
    try:
        value = ctx.outside(str, 5, within_ms=1_000)
    except BaseException:  # noqa: BLE001
        return FINE
    return Response(warnings=(value,))


def swallow_effect(txn: Txn, ctx: Context) -> Result:
    try:
        ctx.effect(Reload("audit"))
    except BaseException:  # noqa: BLE001
        return FINE
    return FINE


def swallow_memory(txn: Txn, ctx: Context) -> Result:
    try:
        ctx.active(list)
    except BaseException:  # noqa: BLE001
        return FINE
    return FINE


def put_then_raise(txn: Txn, ctx: Context) -> Result:
    txn.put("a", b"1")
    ctx.job(Job(kind="fill", record=b"5"))
    ctx.effect(Reload("audit"))
    raise ZeroDivisionError("after all was buffered")


def put_then_refuse(txn: Txn, ctx: Context) -> Result:
    txn.put("a", b"1")
    ctx.job(Job(kind="fill", record=b"5"))
    ctx.effect(Reload("audit"))
    raise BadRequest("after all was buffered")


def spend_then_raise(txn: Txn, ctx: Context) -> Result:
    txn.spend("spent", b"1")
    txn.put("a", b"1")
    raise ZeroDivisionError("after a use")


def derive_writes(txn: Txn, ctx: Context) -> Result:
    """A cached value that writes would write once and then no more."""

    def load(inner: Txn) -> str:
        inner.put("a", b"1")
        return "loaded"

    return Response(warnings=(txn.derive(load),))


def derive_spends(txn: Txn, ctx: Context) -> Result:

    def load(inner: Txn) -> str:
        inner.spend("a", b"1")
        return "loaded"

    return Response(warnings=(txn.derive(load),))


def derive_swallows(txn: Txn, ctx: Context) -> Result:
    """Passes over the refusal inside the cached value, too."""

    def load(inner: Txn) -> str:
        try:
            inner.put("a", b"1")
        except BaseException:  # noqa: BLE001
            return "loaded"
        return "loaded"

    return Response(warnings=(txn.derive(load),))


def too_many_keys(txn: Txn, ctx: Context) -> Result:
    for number in range(BATCH_CHANGES_MAX + 1):
        txn.put(f"many/{number}", b"1")
    return FINE


def too_many_bytes(txn: Txn, ctx: Context) -> Result:
    txn.put("big", bytes(BATCH_MAX_BYTES + 1))
    return FINE


def returns_nothing(txn: Txn, ctx: Context) -> Result:
    txn.put("a", b"1")
    return cast(Result, None)


def returns_text(txn: Txn, ctx: Context) -> Result:
    txn.put("a", b"1")
    return cast(Result, "done")


def never_ends_recursion(txn: Txn, ctx: Context) -> Result:
    txn.put("a", b"1")
    return never_ends_recursion(txn, ctx)


def raises(error: BaseException) -> Misbehaviour:
    def handler(txn: Txn, ctx: Context) -> Result:
        txn.put("a", b"1")
        raise error

    return handler


class Odd(Exception):
    """Its text cannot be had."""

    def __str__(self) -> str:
        raise ValueError("no text")


MISBEHAVIOURS: dict[str, Misbehaviour] = {
    "swallow-put": swallow_put, "swallow-then-read": swallow_then_read, "swallow-then-write": swallow_then_write,
    "swallow-and-wrap": swallow_and_wrap, "swallow-and-break": swallow_and_break, "swallow-heavy": swallow_heavy,
    "swallow-outside": swallow_outside, "swallow-effect": swallow_effect, "swallow-memory": swallow_memory,
    "put-then-raise": put_then_raise, "put-then-refuse": put_then_refuse, "spend-then-raise": spend_then_raise,
    "derive-writes": derive_writes, "derive-spends": derive_spends, "derive-swallows": derive_swallows,
    "too-many-keys": too_many_keys, "too-many-bytes": too_many_bytes,
    "returns-nothing": returns_nothing, "returns-text": returns_text, "recursion": never_ends_recursion,
    "raise-key-error": raises(KeyError("k")), "raise-os-error": raises(OSError(5, "input/output error")),
    "raise-memory-error": raises(MemoryError()), "raise-timeout": raises(TimeoutError()), "raise-stop-iteration": raises(StopIteration()),
    "raise-assertion": raises(AssertionError("wrong")), "raise-unicode": raises(UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad")),
    "raise-odd": raises(Odd()), "raise-group": raises(ExceptionGroup("two", [KeyError("k"), OSError("o")])),
}
