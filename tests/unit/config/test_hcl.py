"""HCL1 as configuration files and policies are written in it."""
from __future__ import annotations

import pytest

from holdfast.config.hcl import Array, HclError, Literal, Object, Position, Scalar, Value, parse, print_hcl
from holdfast.limits import HCL_DEPTH_MAX, HCL_SIZE_MAX_BYTES


def plain(value: Value) -> object:
    """Without places; an object is a list of (keys, value)."""
    match value:
        case Literal(value=scalar):
            return scalar
        case Array(values=values):
            return [plain(each) for each in values]
        case Object(items=items):
            return [(*(key.text for key in item.keys), plain(item.value)) for item in items]


def only(text: str) -> Scalar:
    """The value of the one key of a text."""
    value = parse(text).items[0].value
    assert isinstance(value, Literal)
    return value.value


def refusal(text: str | bytes, source: str = "") -> HclError:
    with pytest.raises(HclError) as caught:
        parse(text, source=source)
    return caught.value


@pytest.mark.parametrize(("text", "value"), [
    ('"plain"', "plain"), ('""', ""), (r'"a\tb\n\"\\"', 'a\tb\n"\\'), (r'"\101\x42C\U00000044"', "ABCD"),
    (r'"\xc3\xa9é"', "éé"), ('"${var.a["x"]}"', '${var.a["x"]}'), ('"a ${ {\n} } $b {c}"', "a ${ {\n} } $b {c}"), ('"$$"', "$$"),
    ("7", 7), ("-7", -7), ("0x1F", 31), ("-0Xa", -10), ("0644", 420), ("0", 0), ("1.5", 1.5), ("-0.25", -0.25), ("1e3", 1000.0),
    ("2.5E-1", 0.25), (".5", 0.5), ("0159.5", 159.5), ("9223372036854775807", (1 << 63) - 1), ("true", True), ("false", False),
])
def test_values(text: str, value: Scalar) -> None:
    found = only(f"key = {text}\n")
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(("text", "value"), [
    ("<<EOF\nline one\n\n  line two\nEOF\n", "line one\n\n  line two\n"),
    ("<<EOF\nEOF\n", ""),
    ("<<EOF\n  a\n  EOF\n", "  a\n  "),
    ("<<EOF\nEOFX\nnot EOF\nEOF\n", "EOFX\nnot EOF\n"),
    ("<<-EOF\n    a\n      b\n    EOF\n", "a\n  b\n"),
    ("<<-EOF\n\ta\n\tEOF\n", "a\n"),
    ("<<-EOF\n  a\n    EOF\n", "  a\n"),
    ("<<-EOF\na\nEOF\n", "a\n"),
    ("<<EOF\r\na\r\nEOF\r\n", "a\r\n"),
])
def test_heredocs(text: str, value: str) -> None:
    assert only(f"key = {text}") == value


def test_comments_stand_wherever_space_may() -> None:
    text = "# one\n// two\n/* three\n four */ a /**/ = # five\n 1 // six\nb { /* in */ } # end"
    assert plain(parse(text)) == [("a", 1), ("b", [])]


def test_blocks_labels_and_commas() -> None:
    text = 'listener "tcp" { address = "x", n = 1 }\nlistener tcp {}\n"quoted key" = [1, "two", [3,], { a = 4 }, ]\nmap = { "x y" = 1 }'
    assert plain(parse(text)) == [
        ("listener", "tcp", [("address", "x"), ("n", 1)]), ("listener", "tcp", []),
        ("quoted key", [1, "two", [3], [("a", 4)]]), ("map", [("x y", 1)])]


def test_names_hold_dots_and_dashes() -> None:
    assert plain(parse("a.b-c_d = 1\nschlüssel = 2")) == [("a.b-c_d", 1), ("schlüssel", 2)]


def test_every_key_has_its_place() -> None:
    tree = parse('a = 1\n\n  block "label" {\n    inner = "x"\n  }\n', source="f.hcl")
    outer = tree.items[1]
    assert (outer.at, outer.keys[1].at) == (Position(3, 3, "f.hcl"), Position(3, 9, "f.hcl"))
    assert isinstance(outer.value, Object)
    inner = outer.value.items[0]
    assert isinstance(inner.value, Literal)
    assert (inner.at, inner.value.at) == (Position(4, 5, "f.hcl"), Position(4, 13, "f.hcl"))


@pytest.mark.parametrize(("text", "at", "words"), [
    ("a = ", (1, 5), "expected a value, found the end"),
    ("a", (1, 2), "key 'a' expected start of object ('{') or assignment ('=')"),
    ("a b = 1", (1, 5), "key 'a b' expected start of object ('{')"),
    ("a = b", (1, 5), "the bare word 'b' is no value"),
    ("a = 1h", (1, 7), "key 'h' expected"),
    ("\n= 1", (2, 1), "expected a key, found '='"),
    ("a {", (1, 4), "expected a key, found the end"),
    ("}", (1, 1), "expected a key, found '}'"),
    ("a = [1 2]", (1, 8), "expected comma or list end"),
    ("a = [1", (1, 7), "expected comma or list end"),
    ('a = "x', (1, 5), "literal not terminated"),
    ('a = "x\ny"', (1, 5), "literal not terminated"),
    ('a = "${x"', (1, 6), "literal not terminated"),
    (r'a = "\q"', (1, 6), "illegal char escape"), (r'a = "\400"', (1, 6), "illegal char escape"),
    (r'a = "\ud800"', (1, 6), "illegal char escape"), (r'a = "\xff"', (1, 5), "not UTF-8"),
    ("a = 0xz", (1, 5), "illegal number"), ("a = 089", (1, 5), "illegal number"), ("a = 1e", (1, 5), "illegal number"),
    ("a = 9223372036854775808", (1, 5), "out of range"), ("a = 1e999", (1, 5), "out of range"),
    ("a = <<EOF\nx\n", (1, 5), "heredoc not terminated"), ("a = <<EOF", (1, 5), "a heredoc begins"), ("a = <x", (1, 5), "a heredoc begins"),
    ("/* x", (1, 1), "comment not terminated"), ("a = 'x'", (1, 5), "illegal character"), ("a: 1", (1, 2), "illegal character"),
    ("a = 1\0", (1, 6), "null character"),
])
def test_refusals_name_the_place(text: str, at: tuple[int, int], words: str) -> None:
    error = refusal(text, "f.hcl")
    assert (error.at.line, error.at.column) == at
    assert words in error.problem
    assert str(error) == f"f.hcl:{at[0]}:{at[1]}: {error.problem}"


def test_a_refusal_without_a_source_reads_as_vaults() -> None:
    assert str(refusal("a = \n'")) == "At 2:1: illegal character \"'\""


def test_bytes_that_are_no_utf8_are_refused_where_they_stand() -> None:
    error = refusal(b"a = 1\nb = \"\xc3\xa9\xff\"")
    assert error.at == Position(2, 7)
    assert parse("a = \"é\"".encode()) == parse("a = \"é\"")


def test_a_byte_order_mark_is_skipped() -> None:
    assert plain(parse("\ufeffa = 1")) == [("a", 1)]
    assert plain(parse('\ufeff{"a": 1}')) == [("a", 1)]


def test_depth_is_bounded() -> None:
    for opening, closing in (("a {", "}"), ("a = [", "]")):
        nested = opening if opening == "a {" else "["
        fits = opening + nested * (HCL_DEPTH_MAX - 1) + closing * HCL_DEPTH_MAX
        assert parse(fits).items
        assert "nested deeper" in refusal(opening + nested * HCL_DEPTH_MAX + closing * (HCL_DEPTH_MAX + 1)).problem
    assert "nested deeper" in refusal('{"a":' + "[" * HCL_DEPTH_MAX + "]" * HCL_DEPTH_MAX + "}").problem


def test_size_is_bounded() -> None:
    assert parse(" " * HCL_SIZE_MAX_BYTES).items == ()
    assert "longer than" in refusal(" " * (HCL_SIZE_MAX_BYTES + 1)).problem


@pytest.mark.parametrize(("json", "hcl"), [
    ('{"a": 1, "b": -1.5e2, "c": "x\\u00e9\\ud83d\\ude00\\/", "d": true}', 'a = 1\nb = -150.0\nc = "xé😀/"\nd = true'),
    ('{"a": null}', 'a = ""'),
    ('{"path": {"secret/*": {"capabilities": ["read", "list"]}}}', 'path "secret/*" { capabilities = ["read", "list"] }'),
    ('{"path": [{"a": {"x": 1}}, {"b": {"x": 2}}]}', "path a { x = 1 }\npath b { x = 2 }"),
    ('{"storage": {"raft": {"retry_join": [{"leader_api_addr": "x"}, {"leader_api_addr": "y"}]}}}',
     'storage raft { retry_join { leader_api_addr = "x" }\n retry_join { leader_api_addr = "y" } }'),
    ('{"telemetry": {}}', "telemetry {}"),
    ('{"a": [], "b": [1, {"c": 2}],}', "a = []\nb = [1, { c = 2 }]"),
    (' {"listener": {"tcp": {"address": "x"}, "unix": {"address": "y"}}}',
     'listener tcp { address = "x" }\nlistener unix { address = "y" }'),
])
def test_json_gives_the_tree_that_hcl_gives(json: str, hcl: str) -> None:
    assert plain(parse(json)) == plain(parse(hcl))


@pytest.mark.parametrize(("text", "words"), [
    ("{", "expected a string"), ('{"a"}', "expected ':'"), ('{"a": }', "expected a value"), ('{"a": 1} x', "this is not JSON"),
    ('{"a": 1} {}', "expected the end"), ('{"a": 1 "b": 2}', "expected ','"), ('{"a": "\\q"}', "illegal string"),
    ('{"a": 01}', "expected ','"),
    ('{"a": 1e999}', "out of range"), ('{"a": 99999999999999999999}', "out of range"), ("{,}", "expected a string"),
    ('{"a": "x\ny"}', "this is not JSON"), ('{"a": [1', "expected ','"), ('{"a": "\\ud800"}', "illegal string"),
])
def test_json_refusals(text: str, words: str) -> None:
    assert words in refusal(text).problem


def test_json_places() -> None:
    item = parse('{\n  "listener": {\n    "tcp": {"address": "x"}\n  }\n}').items[0]
    assert [(key.text, key.at) for key in item.keys] == [("listener", Position(2, 3)), ("tcp", Position(3, 5))]


def test_a_block_in_a_block_and_a_label_are_read_alike() -> None:
    for text in ("a { b { c = 1 } }", "a b { c = 1 }", '{"a": {"b": {"c": 1}}}', '{"A": {"b": {"c": 1}}}'):
        outer = parse(text).under("a")[0]
        assert isinstance(outer, Object)
        inner = outer.under("B")[0]
        assert isinstance(inner, Object)
        assert plain(inner) == [("c", 1)]


def test_printing_is_one_way_of_writing() -> None:
    tree = parse('path   "a/\\"b" {capabilities=["read",]}\nm = {x=1}\nf = 2.0\nt=true\ns = "\\x24{y}\\x7f\n"'.replace("\n\"", '\\n"'))
    assert print_hcl(tree) == (
        'path "a/\\"b" {\n  capabilities = ["read"]\n}\nm {\n  x = 1\n}\nf = 2.0\nt = true\ns = "\\x24{y}\\x7f\\n"\n')
    assert print_hcl(parse("")) == ""
