"""Flags are read as Go's flag package reads them."""

from __future__ import annotations

import pytest

from holdfast.cli.durations import MINUTE, SECOND
from holdfast.cli.flags import Flag, FlagError, FlagGroup, Flags, Kind, parse

_FLAGS = (
    Flag(name="force", kind=Kind.SWITCH, aliases=("f",), text=""),
    Flag(name="path", kind=Kind.STRING, default="here", env="TEST_PATH", text=""),
    Flag(name="count", kind=Kind.INTEGER, default=-1, env="TEST_COUNT", text=""),
    Flag(name="ttl", kind=Kind.DURATION, text=""),
    Flag(name="policy", kind=Kind.STRINGS, env="TEST_POLICY", text=""),
    Flag(name="meta", kind=Kind.PAIRS, text=""),
)


LONG = "9" * 5_000                                   # more digits than Python reads


def read(line: str, env: dict[str, str] | None = None) -> tuple[Flags, list[str]]:
    return parse([FlagGroup("", _FLAGS)], line.split(), env or {})


@pytest.mark.parametrize("line", ["-path=there", "--path=there", "-path there", "--path there"])
def test_dashes_and_equals_are_one(line: str) -> None:
    flags, rest = read(line + " -f arg")
    assert (flags.string("path"), flags.switch("force"), rest) == ("there", True, ["arg"])


@pytest.mark.parametrize(
    ("line", "rest"),
    [
        ("arg -force", ["arg", "-force"]),
        ("- -force", ["-", "-force"]),
        ("-- -force", ["-force"]),
        ("-path -force", []),
    ],
)
def test_reading_stops_at_the_first_argument(line: str, rest: list[str]) -> None:
    flags, found = read(line)
    assert found == rest
    assert not flags.switch("force")


def test_a_switch_takes_a_value_only_behind_equals() -> None:
    assert read("-force=false arg")[0].switch("force") is False
    assert read("-force false")[1] == ["false"]


def test_lists_and_maps_collect_and_others_are_replaced() -> None:
    flags, _ = read("-policy=a -policy=b -meta x=1 -meta=y=2=3 -path=p -path=q")
    assert flags.strings("policy") == ("a", "b")
    assert flags.pairs("meta") == {"x": "1", "y": "2=3"}
    assert flags.string("path") == "q"


def test_the_command_line_wins_over_the_variable_and_that_over_the_default() -> None:
    env = {"TEST_PATH": "env", "TEST_POLICY": "a, b", "TEST_COUNT": "no number"}
    assert read("")[0].string("path") == "here"
    assert read("", env)[0].string("path") == "env"
    assert read("-path=line", env)[0].string("path") == "line"
    assert read("", env)[0].strings("policy") == ("a", "b")
    assert read("-policy=c", env)[0].strings("policy") == ("c",)
    assert read("", env)[0].integer("count") == -1


def test_given_is_about_the_command_line_alone() -> None:
    flags, _ = read("-f", {"TEST_PATH": "env"})
    assert flags.given("force")
    assert not flags.given("path")
    assert not flags.has("elsewhere")


@pytest.mark.parametrize(("text", "expected"), [("-7", -7), ("+7", 7), ("0", 0), ("0x1F", 31), ("0b11", 3), ("0o17", 15), ("017", 15)])
def test_numbers(text: str, expected: int) -> None:
    assert read(f"-count={text}")[0].integer("count") == expected


@pytest.mark.parametrize(("text", "expected"), [("30s", 30 * SECOND), ("90", 90 * SECOND), ("5m", 5 * MINUTE), ("system", -SECOND)])
def test_durations(text: str, expected: int) -> None:
    assert read(f"-ttl={text}")[0].integer("ttl") == expected


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("-nosuch", "flag provided but not defined: -nosuch"),
        ("-path", "flag needs an argument: -path"),
        ("-force=maybe", 'invalid boolean value "maybe" for -force: strconv.ParseBool: parsing "maybe": invalid syntax'),
        ("-count=٣", 'invalid value "٣" for flag -count: strconv.ParseInt: parsing "٣": invalid syntax'),
        ("-count=08", 'invalid value "08" for flag -count: strconv.ParseInt: parsing "08": invalid syntax'),
        (f"-count={LONG}", f'invalid value "{LONG}" for flag -count: strconv.ParseInt: parsing "{LONG}": value out of range'),
        ("-count=9223372036854775808",
         'invalid value "9223372036854775808" for flag -count: strconv.ParseInt: parsing "9223372036854775808": value out of range'),
        ("-count=x", 'invalid value "x" for flag -count: strconv.ParseInt: parsing "x": invalid syntax'),
        ("-ttl=soon", 'invalid value "soon" for flag -ttl: time: invalid duration "soon"'),
        ("-meta=x", 'invalid value "x" for flag -meta: missing = in KV pair: "x"'),
        ("-=x", "bad flag syntax: -=x"),
        ("---path", "bad flag syntax: ---path"),
    ],
)
def test_refusals_are_in_the_words_of_go(line: str, message: str) -> None:
    with pytest.raises(FlagError) as caught:
        read(line)
    assert str(caught.value) == message
