"""What is sent to a route, and the typed input that it becomes."""
from typing import Annotated

import pytest

from holdfast.engine import Context, Duration, Given, Input, Natural, Response, Strings, Txn, doc, on
from holdfast.errors import BadRequest


class Options(Input, frozen=True):
    cas: int = 0


class Sample(Input, frozen=True):
    path: str
    version: Natural = 0
    names: Strings = None
    options: Options = Options()


def answer(txn: Txn, args: Sample, ctx: Context) -> Response:
    return Response()


OP = on(Sample, answer)


def bound(body: bytes = b"", **query: str) -> Input:
    return OP.bind(Given({"path": "a"}, query, body)).args


def test_path_before_body_before_query() -> None:
    assert bound(b'{"version": 2, "path": "b"}', version="1", path="c") == Sample(path="a", version=2)
    assert bound(b'{"names": null}', version="1", names="x") == Sample(path="a", version=1, names="x")


@pytest.mark.parametrize("body", [b'{"version": "2", "options": {"cas": "3"}}', b'{"version": 2, "options": {"cas": 3}}'])
def test_numbers_may_be_texts(body: bytes) -> None:
    assert bound(body) == Sample(path="a", version=2, options=Options(cas=3))


@pytest.mark.parametrize(("body", "version", "error"), [
    (b"", "abc", 'for field "version": Expected `int`, got `str`'), (b"", "-1", 'for field "version": Expected `int` >= 0'),
    (b'{"version": 9223372036854775808}', "", 'for field "version": Expected `int` <= 9223372036854775807'),
    (b'{"options": {"cas": []}}', "", 'for field "options.cas": Expected `int`, got `array`'),
    (b'{"names": [[]]}', "", 'for field "names[0]": Expected `str`, got `array`')])
def test_what_does_not_fit_is_named(body: bytes, version: str, error: str) -> None:
    with pytest.raises(BadRequest) as raised:
        bound(body, **({"version": version} if version else {}))
    assert raised.value.messages == (f"Field validation failed: error converting input {error}",)


def test_what_is_missing_is_named() -> None:
    with pytest.raises(BadRequest, match=r"^Field validation failed: Object missing required field `path`$"):
        OP.bind(Given({}, {}, b"{}"))


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"path": "\xff"}', b'"a"', b'{"version": 1e400}'])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest, match=r"^(error parsing JSON|Field validation failed): "):
        bound(body)


def test_fields_that_nobody_knows_are_told() -> None:
    assert OP.bind(Given({"path": "a"}, {}, b'{"z": 1, "b": 2, "version": 1}')).warnings == (
        "Endpoint ignored these unrecognized parameters: [b z]",)


def test_fields_that_the_path_says_otherwise_are_told() -> None:
    assert OP.bind(Given({"path": "a"}, {}, b'{"path": "b", "x": 1}')).warnings == (
        "Endpoint ignored these unrecognized parameters: [x]",
        "Endpoint replaced the value of these parameters with the values captured from the endpoint's path: [path]")
    assert OP.bind(Given({"path": "a"}, {}, b'{"path": null}')).warnings == ()


class Weak(Input, frozen=True):
    """A field of every type that Vault reads weakly."""

    text: str = ""
    maybe: Annotated[str | None, doc("A text that may be left out.")] = None
    number: Natural = 0
    length: Duration = None
    truth: bool = False
    maybe_truth: Annotated[bool | None, doc("A boolean that may be left out.")] = None
    names: Strings = None
    many: list[str] | None = None
    pairs: Annotated[dict[str, str] | None, doc("Texts by name.")] = None


WEAK = on(Weak, lambda txn, args, ctx: Response())


@pytest.mark.parametrize(("body", "seen"), [
    (b'{"text": 1.10, "maybe": 123456789012345678901234567890}', Weak(text="1.10", maybe="123456789012345678901234567890")),
    (b'{"text": true, "maybe": false}', Weak(text="1", maybe="0")),
    (b'{"names": [1, true, "a", 2.50], "many": [-1e5]}', Weak(names=["1", "1", "a", "2.50"], many=["-1e5"])),
    (b'{"names": 5, "many": "a,b"}', Weak(names="5", many=["a,b"])),
    (b'{"many": 7}', Weak(many=["7"])),
    (b'{"truth": "t", "maybe_truth": ""}', Weak(truth=True, maybe_truth=False)),
    (b'{"truth": 1, "maybe_truth": "false"}', Weak(truth=True, maybe_truth=False)),
    (b'{"number": true}', Weak(number=1)),
    (b'{"number": ""}', Weak()),
    (b'{"pairs": {"a": 1.10, "b": true, "c": null, "d": "e"}}', Weak(pairs={"a": "1.10", "b": "1", "c": "", "d": "e"})),
    (b'{"pairs": ["a=b", "c=d=e"]}', Weak(pairs={"a": "b", "c": "d=e"})),
    (b'{"pairs": "a=b"}', Weak(pairs={"a": "b"})),
    (b'{"text": 1, "length": 60}', Weak(text="1", length=60))])
def test_what_does_not_fit_is_read_weakly(body: bytes, seen: Weak) -> None:
    assert WEAK.bind(Given({}, {}, body)).args == seen


def test_only_the_field_that_does_not_fit_is_read_again() -> None:
    bound = WEAK.bind(Given({}, {"number": ""}, b'{"text": 1, "strange": 1, "maybe": null}'))
    assert (bound.args, bound.warnings) == (Weak(text="1"), ("Endpoint ignored these unrecognized parameters: [strange]",))


@pytest.mark.parametrize(("body", "error"), [
    (b'{"text": []}', 'for field "text": Expected `str`, got `array`'),
    (b'{"text": 1, "maybe": {}}', 'for field "maybe": Expected `str | null`, got `object`'),
    (b'{"truth": 2}', 'for field "truth": Expected `bool`, got `int`'),
    (b'{"truth": "yes"}', 'for field "truth": Expected `bool`, got `str`'),
    (b'{"length": true}', 'for field "length": Expected `int | float | str | null`, got `bool`'),
    (b'{"pairs": "ab"}', 'for field "pairs": Expected `object | null`, got `str`'),
    (b'{"pairs": ["a=b", 1]}', 'for field "pairs": Expected `object | null`, got `array`'),
    (b'{"pairs": {"a": []}}', 'for field "pairs[...]": Expected `str`, got `array`')])
def test_what_fits_in_no_way_is_named(body: bytes, error: str) -> None:
    with pytest.raises(BadRequest) as raised:
        WEAK.bind(Given({}, {}, body))
    assert raised.value.messages == (f"Field validation failed: error converting input {error}",)
