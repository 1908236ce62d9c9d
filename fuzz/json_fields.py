"""Fuzz target: bodies, queries and path parameters against every operation's typed input: `python -m fuzz.json_fields`.

Whatever the bytes: a typed input, or a refusal that is the caller's fault and can be shown.
"""
import sys
from urllib.parse import parse_qsl

import atheris

with atheris.instrument_imports():
    from holdfast.core import envelope
    from holdfast.core.access import Access
    from holdfast.core.mounts import Defaults
    from holdfast.engine import Bound, Given, Op
    from holdfast.errors import RequestError
    from holdfast.node.registry import ENGINES
    from holdfast.system import build


def operations() -> tuple[Op, ...]:
    """Of every engine, in a fixed order."""
    access = Access(ENGINES, build, Defaults(), lambda options, request_id: "")
    engines = (access.router.system, *access.registry.engines())
    return tuple(op for engine in engines for route in engine.routes for _, op in sorted(route.ops.items()))


OPERATIONS = operations()
# The decoder is native and shows the fuzzer no branches, so half of the bodies are put together: names that the operation knows, and these.
VALUES = (
    b"null", b"true", b"false", b"0", b"-0", b"1", b"-1", b"1.5", b"1e400", b"-1e-400", b"9223372036854775807", b"9223372036854775808",
    b"1" * 400, b'""', b'"a"', b'"\\u0000"', b'"\\ud800"', b'"\xff"', b'"1"', b'"-1"', b'"1.5"', b'"true"', b'"5m"', b'"-5m"', b'"1h1"',
    b'"9999999999999h"', b'"1e9"', b'"a,b"', b'","', b'"1,x"', b'"10.0.0.0/8"', b'"10.0.0.1"', b'"::/129"', b'"batch"',
    b'"default-service"', b'"kv"', b'"aGk="', b"[]", b"[[]]", b"[null]", b"[1]", b"[1.5]", b'["a"]', b'["a","a"]', b'["10.0.0.0/8"]',
    b"[" * 300 + b"]" * 300, b"{}", b'{"":null}', b'{"a":1}', b'{"a":"b"}', b'{"a":{"b":[]}}', b'{"a":1,"a":2}', b'{"version":"2"}',
    b'{"version":2}', b'{"cas":0}', b'{"cas":null}', b'{"max_lease_ttl":"1h"}', b'{"lockout_threshold":"x"}', b'{"file_path":7}',
)
STRANGE = (b"", b"a", b"\xff", b"data", b"list", b"__class__")


def check(data: bytes) -> None:
    """One input: two bytes for the operation, one for whether the body is put together; then a query up to a NUL, and the body."""
    if len(data) < 3:
        return
    op = OPERATIONS[int.from_bytes(data[:2]) % len(OPERATIONS)]
    query, _, body = data[3:].partition(b"\0")
    if data[2] & 1:
        body = composed(op, body)
    sent = dict(parse_qsl(query.decode("utf-8", "replace"), max_num_fields=None))
    path = {field.name: "a/b" for field in op.fields() if field.required}
    try:
        bound = op.bind(Given(path, sent, body))
    except RequestError as refused:
        reply = envelope.failed(refused)
        assert 400 <= reply.status < 500
        assert b'"errors":[' in reply.body
        return
    assert isinstance(bound, Bound)


def composed(op: Op, data: bytes) -> bytes:
    """An object: each two bytes are the number of a name and that of a value."""
    names = (*(field.name.encode() for field in op.fields()), *STRANGE)
    pairs = zip(data[::2], data[1::2], strict=False)
    return b"{" + b",".join(b'"%s":%s' % (names[name % len(names)], VALUES[value % len(VALUES)]) for name, value in pairs) + b"}"


def main() -> None:
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
