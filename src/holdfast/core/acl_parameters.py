"""The rules of a stanza on what comes with a request: parameters in query and body, and the wrapping of its answer.

Names are compared in lower case. A value fits a list if it is in it, or, of two strings, by a `*` at either end of the listed one; a
number or boolean compares as its text, as engines read either. Source: Vault, "Policies", fine-grained control.
"""
from collections.abc import Iterator, Mapping

import msgspec

from holdfast.core.acl_match import Permissions
from holdfast.engine import Request
from holdfast.engine.route import members_of
from holdfast.errors import BadRequest

NOT_PARAMETERS = frozenset({"help", "list"})         # say how to ask, not what for


def permits_wrapping(found: Permissions, request: Request) -> bool:
    """A bound of either kind makes wrapping compulsory."""
    least, most = found.min_wrapping_ttl_s, found.max_wrapping_ttl_s
    if not least and not most:
        return True
    # Merging may have left a smallest time above the largest: then no time fits.
    asked = request.wrap_ttl_s or 0
    return asked > 0 and asked >= least and (not most or asked <= most)


def permits_parameters(found: Permissions, request: Request) -> bool:
    """Required ones are there, none is denied, and all are allowed. Raises BadRequest where the body is no JSON object."""
    if not found.required and not found.allowed and not found.denied:
        return True
    given = tuple(_given(request))
    names = {name for name, _ in given}
    if any(name.lower() not in names for name in found.required):
        return False
    if not given:
        return True
    if "*" in found.denied or any(name in found.denied and _fits(value, found.denied[name]) for name, value in given):
        return False
    if not found.allowed:
        return True
    any_name = "*" in found.allowed
    return all(_fits(value, found.allowed[name]) if name in found.allowed else any_name for name, value in given)


def _given(request: Request) -> Iterator[tuple[str, object]]:
    """Every name, in lower case, with every value: names that differ in case alone, or stand in query and body, hide nothing."""
    for name, value in request.query.items():
        if name not in NOT_PARAMETERS:
            yield name.lower(), value
    if request.body:
        try:
            for name, raw in members_of(request.body).items():
                yield name.lower(), msgspec.json.decode(raw)
        except (msgspec.DecodeError, RecursionError) as error:
            raise BadRequest(f"error parsing JSON: {error}") from error


def _fits(value: object, listed: tuple[object, ...]) -> bool:
    return not listed or any(_matches(value, item) for item in listed)


def _matches(value: object, item: object) -> bool:
    sent, wanted = _text(value), _text(item)
    if sent is None or wanted is None:
        return same(value, item)
    fits = _globs(wanted, sent) if isinstance(item, str) else sent == wanted
    if fits or not isinstance(value, bool):
        return fits
    return _matches(int(value), item)                    # what a field of text makes of a boolean


def _text(value: object) -> str | None:
    """Of a string, number or boolean: engines read `"5"` as 5, so a list that names one names the other."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(int(value)) if value == int(value) else str(value)
        case _:
            return None


def _globs(item: str, value: str) -> bool:
    if len(item) < 2:
        return value == item
    starts, ends = item.startswith("*"), item.endswith("*")
    if starts and ends:
        return item[1:-1] in value
    if starts:
        return value.endswith(item[1:])
    return value.startswith(item[:-1]) if ends else value == item


def same(one: object, other: object) -> bool:
    """Equal as JSON values: true is not 1, but 1 is 1.0."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(value, other[name]) for name, value in one.items())
    return one == other
