"""Input fields that are read leniently, and where leniency ends."""
import pytest

from holdfast.engine import cidrs, ints, is_within, seconds, signed_seconds, strings
from holdfast.engine.field import Duration, Ints
from holdfast.errors import BadRequest
from holdfast.limits import CIDRS_MAX, DURATION_MAX_S, DURATION_TEXT_MAX


@pytest.mark.parametrize(("written", "length_s"), [
    (None, 0), ("", 0), (0, 0), ("0", 0), (90, 90), ("90", 90), ("+90", 90), (1.9, 1), ("1h30m", 5_400), ("1.5h", 5_400), ("7d", 604_800),
    ("1500ms", 1), ("2000000\u00b5s", 2), ("2000000\u03bcs", 2), (" 5m ", 300), (DURATION_MAX_S, DURATION_MAX_S)])
def test_a_duration(written: Duration, length_s: int) -> None:
    assert seconds(written, "ttl") == signed_seconds(written, "ttl") == length_s


@pytest.mark.parametrize("written", [
    "soon", "1,", "h", "5 m", "1d12h", "1.5", "1.5d", "0x10", "1e3", "--5", "nan", "inf", "\u0663\u0660", "\u0663s",
    "1s" * DURATION_TEXT_MAX])
def test_what_is_no_duration(written: str) -> None:
    with pytest.raises(BadRequest, match=r"^ttl: .* is not a duration"):
        seconds(written, "ttl")


@pytest.mark.parametrize("written", [DURATION_MAX_S + 1, 1e300, "9" * 18, "9" * 60, "9" * 60 + "h"])
def test_a_duration_has_a_bound(written: Duration) -> None:
    with pytest.raises(BadRequest, match=f"^ttl: a duration is at most {DURATION_MAX_S} s$"):
        seconds(written, "ttl")


@pytest.mark.parametrize("written", [-1, -0.5, "-1", "-5m", "-1ns"])
def test_a_negative_duration_is_never(written: Duration) -> None:
    assert signed_seconds(written, "ttl") == -1
    with pytest.raises(BadRequest, match=r"^ttl: a duration cannot be negative$"):
        seconds(written, "ttl")


def test_lists_however_they_were_sent() -> None:
    assert strings(None) == strings("") == strings([]) == strings(" , ") == ()
    assert strings("a, b ,,c") == strings(["a", " b ", "", "c"]) == ("a", "b", "c")


@pytest.mark.parametrize(("written", "numbers"), [(None, ()), ("", ()), (3, (3,)), ([1, 2], (1, 2)), ("1, -2", (1, -2))])
def test_numbers(written: Ints, numbers: tuple[int, ...]) -> None:
    assert ints(written, "versions") == numbers


@pytest.mark.parametrize("written", ["a", "1.5", "1;2", "\u0661", "9" * 19])
def test_what_is_no_number(written: str) -> None:
    with pytest.raises(BadRequest, match=r"^versions: a list of numbers is expected"):
        ints(written, "versions")


def test_networks_keep_the_address_that_they_were_given_by() -> None:
    assert cidrs("10.1.2.3/8, 10.0.0.1/32,::1", "cidrs") == ("10.1.2.3/8", "10.0.0.1", "::1")
    assert cidrs("10.1.2.3/255.255.0.0", "cidrs") == ("10.1.2.3/16",)
    with pytest.raises(BadRequest, match=r"^cidrs: '10.0.0.0/33' is not an address or a network$"):
        cidrs(["10.0.0.0/33"], "cidrs")
    assert len(cidrs("::1," * CIDRS_MAX, "cidrs")) == CIDRS_MAX
    with pytest.raises(BadRequest, match=f"^cidrs: at most {CIDRS_MAX} addresses and networks$"):
        cidrs("::1," * (CIDRS_MAX + 1), "cidrs")


@pytest.mark.parametrize(("address", "inside"), [
    ("10.9.9.9", True), ("::ffff:10.9.9.9", True), ("11.9.9.9", False), ("fe80::1%eth0", True), ("fe81::1", False), ("", False),
    ("10.9.9.9:80", False), ("/run/holdfast.sock", False)])
def test_an_address_lies_within_networks(address: str, inside: bool) -> None:
    assert is_within(address, ("10.1.2.3/8", "fe80::/16")) is inside
