"""`key=value` arguments."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.cli.data import parse_data, parse_query, parse_texts


def no_stdin() -> bytes:
    raise AssertionError("stdin must not be read")


def test_pairs_repeated_keys_and_equals_in_values() -> None:
    assert parse_data(["a=1", "b=x=y", "a=2", "a=3", "", "c="], no_stdin) == {"a": ["1", "2", "3"], "b": "x=y", "c": ""}


def test_files_and_escapes(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_bytes(b"line\n\xff")
    (tmp_path / "body.json").write_text('{"n": 1.10, "a": "file"}')
    data = parse_data(["a=first", f"v=@{tmp_path}/secret.txt", "at=\\@x", f"@{tmp_path}/body.json"], no_stdin)
    assert data["v"] == "line\n\ufffd"
    assert data["at"] == "@x"
    assert (str(data["n"]), data["a"]) == ("1.10", "file")


def test_stdin_as_a_value_and_as_the_whole() -> None:
    assert parse_data(["a=-"], lambda: b"in\n") == {"a": "in\n"}
    assert parse_data(["-"], lambda: b'{"x": {"y": []}}') == {"x": {"y": []}}


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["a"], 'invalid key/value pair "a": format must be key=value'),
        (["a=-", "b=-"], 'invalid key/value pair "b": stdin already consumed'),
        (["a=@/no/such/file"], 'invalid key/value pair "a": error reading file: open /no/such/file: no such file or directory'),
        (["@/no/such/file"], 'invalid key/value pair "@/no/such/file": open /no/such/file: no such file or directory'),
        (["-"], 'invalid key/value pair "-": a JSON object is needed'),
    ],
)
def test_refusals(args: list[str], message: str) -> None:
    with pytest.raises(ValueError, match="invalid") as caught:
        parse_data(args, lambda: b"[]")
    assert str(caught.value) == message


def test_a_refusal_never_shows_the_value() -> None:
    with pytest.raises(ValueError, match="stdin already consumed") as caught:
        parse_data(["password=hunter2", "a=-", "b=-"], lambda: b"canary")
    assert "hunter2" not in str(caught.value)
    assert "canary" not in str(caught.value)


def test_texts_and_queries() -> None:
    assert parse_texts(["a=1", "-"], lambda: b'{"b": true, "c": 2}') == {"a": "1", "b": "1", "c": "2"}
    with pytest.raises(ValueError, match="more than one value"):
        parse_texts(["a=1", "a=2"], no_stdin)
    assert parse_query(["a=1", "a=2", "b=3"], no_stdin) == [("a", "1"), ("a", "2"), ("b", "3")]
