"""Flags as declared records, and the reading of a command line as Go's flag package reads it.

1. Flags come first: reading stops at the first argument that is not a flag, at `-`, or behind `--`.
2. `-name value`, `-name=value` and the same with two dashes are one; a switch takes a value only behind `=`.
3. The last occurrence wins, but lists and maps collect; before the command line comes the environment variable, then the default.
"""
from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from holdfast.cli.durations import parse_duration
from holdfast.errors import HoldfastError

Value = bool | int | str | tuple[str, ...] | dict[str, str] | None
_TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_INTEGER = re.compile(r"[+-]?(0|[1-9]\d*|(?P<octal>0[oO]?[0-7]+)|0[xX][0-9a-fA-F]+|0[bB][01]+)", re.ASCII)
_INTEGER_LENGTH_MAX = 70                             # 64 binary digits, a sign and 0b, with room
_FALSE = frozenset(("0", "f", "F", "FALSE", "false", "False"))


class Kind(Enum):
    """What a flag takes."""

    SWITCH = auto()
    STRING = auto()
    INTEGER = auto()
    DURATION = auto()
    STRINGS = auto()
    PAIRS = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """One flag. `default` is in the kind's own unit (nanoseconds for a duration); None: empty, zero or false."""

    name: str
    kind: Kind
    text: str
    default: Value = None
    env: str = ""
    aliases: tuple[str, ...] = ()
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class FlagGroup:
    title: str
    flags: tuple[Flag, ...]


class FlagError(HoldfastError):
    """The command line cannot be read; the message is Go's."""


def parse_bool(text: str) -> bool:
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError(f'strconv.ParseBool: parsing "{text}": invalid syntax')


def _parse_int(text: str) -> int:
    """As Go reads it: `0x10`, `0b11`, `0o17` and `017` are numbers, too, and nothing stands around one."""
    match = _INTEGER.fullmatch(text)
    if match is None:
        raise ValueError(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    number = int(text, 8 if match["octal"] else 0) if len(text) <= _INTEGER_LENGTH_MAX else 1 << 63
    if not -(1 << 63) <= number < 1 << 63:
        raise ValueError(f'strconv.ParseInt: parsing "{text}": value out of range')
    return number


_EMPTY: Mapping[Kind, Value] = {
    Kind.SWITCH: False,
    Kind.STRING: "",
    Kind.INTEGER: 0,
    Kind.DURATION: 0,
    Kind.STRINGS: (),
    Kind.PAIRS: {},
}


class Flags:
    """The values of one command's flags. Asking for a flag that the command does not declare is a defect of ours: KeyError."""

    def __init__(self, values: Mapping[str, Value], given: frozenset[str]) -> None:
        self._values = values
        self._given = given

    def given(self, name: str) -> bool:
        """Whether the flag stood on the command line itself."""
        return name in self._given

    def has(self, name: str) -> bool:
        """Whether the command declares this flag."""
        return name in self._values

    def switch(self, name: str) -> bool:
        value = self._values[name]
        assert isinstance(value, bool)
        return value

    def string(self, name: str) -> str:
        value = self._values[name]
        assert isinstance(value, str)
        return value

    def integer(self, name: str) -> int:
        """A number, or nanoseconds of a duration."""
        value = self._values[name]
        assert isinstance(value, int)
        return value

    def strings(self, name: str) -> tuple[str, ...]:
        value = self._values[name]
        assert isinstance(value, tuple)
        return value

    def pairs(self, name: str) -> dict[str, str]:
        value = self._values[name]
        assert isinstance(value, dict)
        return dict(value)


def parse(groups: Iterable[FlagGroup], args: Sequence[str], env: Mapping[str, str]) -> tuple[Flags, list[str]]:
    """Flags and what follows them. Raises FlagError."""
    declared = [flag for group in groups for flag in group.flags]
    names = {name: flag for flag in declared for name in (flag.name, *flag.aliases)}
    values = {flag.name: _initial(flag, env) for flag in declared}
    given: set[str] = set()
    at = 0
    while at < len(args):
        name, value = _split(args[at])
        if name is None:
            at += args[at] == "--"
            break
        at += 1
        flag = names.get(name)
        if flag is None:
            raise FlagError(f"flag provided but not defined: -{name}")
        if value is None and flag.kind is not Kind.SWITCH:
            if at == len(args):
                raise FlagError(f"flag needs an argument: -{name}")
            value = args[at]
            at += 1
        before = values[flag.name] if flag.name in given else _EMPTY[flag.kind]
        values[flag.name] = _read(flag, name, "true" if value is None else value, before)
        given.add(flag.name)
    return Flags(values, frozenset(given)), list(args[at:])


def _split(arg: str) -> tuple[str | None, str | None]:
    """Name and value of a flag; no name: not a flag."""
    if len(arg) < 2 or arg[0] != "-" or arg == "--":
        return None, None
    body = arg[2:] if arg.startswith("--") else arg[1:]
    if body[0] in "-=":
        raise FlagError(f"bad flag syntax: {arg}")
    name, equals, value = body.partition("=")
    return name, value if equals else None


def _initial(flag: Flag, env: Mapping[str, str]) -> Value:
    default = _EMPTY[flag.kind] if flag.default is None else flag.default
    text = env.get(flag.env) if flag.env else None
    if text is None:
        return default
    if flag.kind is Kind.STRINGS:
        return tuple(part.strip() for part in text.split(",")) if text else default
    try:
        return _convert(flag, text, default)
    except ValueError:
        # As Vault: a variable that does not fit the flag is left aside. Those that matter for safety are checked again in `settings`.
        return default


def _read(flag: Flag, name: str, text: str, before: Value) -> Value:
    try:
        return _convert(flag, text, before)
    except ValueError as error:
        what = f'invalid boolean value "{text}" for -{name}' if flag.kind is Kind.SWITCH else f'invalid value "{text}" for flag -{name}'
        raise FlagError(f"{what}: {error}") from None


def _convert(flag: Flag, text: str, before: Value) -> Value:
    match flag.kind:
        case Kind.SWITCH:
            return parse_bool(text)
        case Kind.STRING:
            return text
        case Kind.INTEGER:
            return _parse_int(text)
        case Kind.DURATION:
            return parse_duration("-1" if text == "system" else text)
        case Kind.STRINGS:
            assert isinstance(before, tuple)
            return (*before, text.strip())
        case Kind.PAIRS:
            assert isinstance(before, dict)
            key, equals, value = text.partition("=")
            if not equals:
                raise ValueError(f'missing = in KV pair: "{text}"')
            return {**before, key: value}
