"""How deep, long and broad a body may be."""
import pytest

from holdfast.errors import BadRequest
from holdfast.http.json_limits import JsonLimits

VAULT = JsonLimits(depth=300, string_bytes=1_048_576, entries=10_000, elements=10_000)
UNLIMITED = JsonLimits(depth=0, string_bytes=0, entries=0, elements=-1)


def nested(depth: int) -> bytes:
    return b'{"a":' * (depth - 1) + b"{}" + b"}" * (depth - 1)


def entries(count: int) -> bytes:
    return b"{" + b",".join(b'"%d":1' % number for number in range(count)) + b"}"


@pytest.mark.parametrize("body", [
    nested(300), b"[" * 300 + b"]" * 300,
    b'{"a":"' + b"x" * 1_048_576 + b'"}', b'{"a":"' + b"\\u00e9" * 524_288 + b'"}', b'{"a":"' + b"\\n" * 1_048_576 + b'"}',
    entries(10_000), b"[" + b"1," * 9_999 + b"1]", b"[" + b"[1,2]," * 9_999 + b"[1,2]]",
    b'{"a":"' + b",{[" * 20_000 + b'"}', b'{"a":"' + b'\\",' * 20_000 + b'"}',
    b"", b"   ", b"nonsense", b'"' + b"x" * 2_000_000 + b'"', b"[" + b" ," * 5,
])
def test_bodies_within_the_limits(body: bytes) -> None:
    VAULT.check(body)


@pytest.mark.parametrize(("body", "message"), [
    (nested(301), "JSON input exceeds allowed nesting depth: max_json_depth is 300"),
    (b"[" * 301, "JSON input exceeds allowed nesting depth"),
    (b"  \n[" * 301, "JSON input exceeds allowed nesting depth"),
    (b'{"a":"' + b"x" * 1_048_577 + b'"}', "JSON string value exceeds allowed length: max_json_string_value_length is 1048576"),
    (b'{"' + b"x" * 1_048_577 + b'":1}', "JSON string value exceeds allowed length"),
    (b'{"a":"' + b"x" * 1_048_577, "JSON string value exceeds allowed length"),
    (b'{"a":"' + b"\\u00e9" * 524_289 + b'"}', "JSON string value exceeds allowed length"),
    (b'{"a":"' + b"\\ud83d\\ude00" * 262_145 + b'"}', "JSON string value exceeds allowed length"),
    (entries(10_001), "JSON object exceeds allowed entry count: max_json_object_entry_count is 10000"),
    (b'{"a":' + entries(10_001) + b"}", "JSON object exceeds allowed entry count"),
    (b"[" + b"1," * 10_000 + b"1]", "JSON array exceeds allowed element count: max_json_array_element_count is 10000"),
    (b"[[" + b"{}," * 10_000 + b"{}]]", "JSON array exceeds allowed element count"),
])
def test_bodies_over_the_limits(body: bytes, message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        VAULT.check(body)
    UNLIMITED.check(body)


@pytest.mark.parametrize(("limits", "body"), [
    (JsonLimits(depth=1, string_bytes=100, entries=100, elements=100), b"[[]]"),
    (JsonLimits(depth=100, string_bytes=1, entries=100, elements=100), b'["ab"]'),
    (JsonLimits(depth=100, string_bytes=100, entries=1, elements=100), b'{"a":1,"b":1}'),
    (JsonLimits(depth=100, string_bytes=100, entries=100, elements=1), b"[1,1]"),
])
def test_small_limits_are_kept_too(limits: JsonLimits, body: bytes) -> None:
    with pytest.raises(BadRequest):
        limits.check(body)
