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


def check(data: bytes) -> None:
    """One input: two bytes for the operation, a query up to a NUL, then the body."""
    if len(data) < 2:
        return
    op = OPERATIONS[int.from_bytes(data[:2]) % len(OPERATIONS)]
    query, _, body = data[2:].partition(b"\0")
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


def main() -> None:
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
