"""What is sent to a route, and the typed input that it becomes."""
import pytest

from holdfast.engine import Context, Given, Input, Natural, Response, Strings, Txn, on
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
    (b'{"names": [1]}', "", 'for field "names[0]": Expected `str`, got `int`')])
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
    assert OP.bind(Given({"path": "a"}, {}, b'{"z": 1, "b": 2, "version": 1}')).ignored == ("b", "z")
