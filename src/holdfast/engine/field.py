"""Types of input fields that Vault reads leniently: durations, lists, networks.

They are plain types with a message at decode time; a handler calls the reader of the same name on what it got. Source: Vault API, "Time and
duration values", and the field types of its endpoints.
"""
import ipaddress
import re
from collections.abc import Iterable
from typing import TypeAlias

from holdfast.config.units import duration_s
from holdfast.errors import BadRequest
from holdfast.limits import CIDRS_MAX, DURATION_MAX_S

Duration: TypeAlias = int | float | str | None
"""Seconds as a number or digits, or Go's notation ("1h30m", "15s", "7d"); None: not sent."""
Strings: TypeAlias = list[str] | str | None
"""A list, or one string with commas; None: not sent."""
Ints: TypeAlias = list[int] | int | str | None
"""A list of numbers, one number, or one string with commas; None: not sent."""


def seconds(value: Duration, name: str) -> int:
    """A duration in whole seconds, 0 for none. Raises BadRequest naming the field: unreadable, negative, or over the limit."""
    length_s = signed_seconds(value, name)
    if length_s < 0:
        raise BadRequest(f"{name}: a duration cannot be negative")
    return length_s


def signed_seconds(value: Duration, name: str) -> int:
    """As `seconds`; a negative one, which a few fields take for "never", is -1."""
    if value is None:
        return 0
    try:
        length_s = duration_s(value.strip()) if isinstance(value, str) else value
    except ValueError as error:
        raise BadRequest(f"{name}: {str(value)[:64]!r} is not a duration such as 30, 30s or 1h30m") from error
    if length_s < 0:
        return -1
    if not length_s <= DURATION_MAX_S:
        raise BadRequest(f"{name}: a duration is at most {DURATION_MAX_S} s")
    return int(length_s)


def strings(value: Strings) -> tuple[str, ...]:
    """A list however it was sent, without blanks around the items and without empty items."""
    if value is None:
        return ()
    items = value.split(",") if isinstance(value, str) else value
    return tuple(item for item in (item.strip() for item in items) if item)


def ints(value: Ints, name: str) -> tuple[int, ...]:
    """Numbers however they were sent. Raises BadRequest naming the field."""
    if value is None:
        return ()
    if isinstance(value, int):
        return (value,)
    if isinstance(value, list):
        return tuple(value)
    items = strings(value)
    if not all(re.fullmatch(r"-?[0-9]{1,18}", item) for item in items):
        raise BadRequest(f"{name}: a list of numbers is expected, such as [1, 2] or \"1,2\"")
    return tuple(int(item) for item in items)


def cidrs(value: Strings, name: str) -> tuple[str, ...]:
    """Networks or single addresses, each with the address as it was given: what lies in the network may name it, and is shown again.
    Raises BadRequest naming the field, and the item or the limit."""
    items, found = strings(value), []
    if len(items) > CIDRS_MAX:
        raise BadRequest(f"{name}: at most {CIDRS_MAX} addresses and networks")
    for item in items:
        try:
            given = ipaddress.ip_interface(item)
        except ValueError as error:
            raise BadRequest(f"{name}: {item[:64]!r} is not an address or a network") from error
        found.append(str(given.ip) if given.network.num_addresses == 1 else given.with_prefixlen)
    return tuple(found)


def is_within(address: str, networks: Iterable[str]) -> bool:
    """Whether a client's address lies in one of the networks that `cidrs` made. An address that cannot be read, as that of a unix
    socket, lies nowhere."""
    try:
        given = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(given, "ipv4_mapped", None) or given
    return any(one in each.network for each in map(ipaddress.ip_interface, networks) for one in (given, mapped))
