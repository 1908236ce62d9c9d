"""What a worker has computed for a request goes along to main, if it is there what it was here."""
import asyncio
from types import SimpleNamespace
from typing import cast

import msgspec

from holdfast.core.policy_parse import parse
from holdfast.engine import Client, Memo, Method, Place, Request
from holdfast.ids import RequestId
from holdfast.node.attempts import Attempts, Devices
from holdfast.node.measuring import RequestMetrics, new_metrics
from holdfast.node.message import FromWorker, Submit
from holdfast.node.worker import Worker
from holdfast.replica import Why


async def handed_on(results: dict[bytes, object]) -> Memo:
    sent: list[FromWorker] = []
    attempts = cast(Attempts, SimpleNamespace(attempt=None, draw_seed=None))     # none is made
    worker = Worker(attempts, cast(Devices, None), RequestMetrics(new_metrics()), sent.append)
    request = Request(id=RequestId("r"), method=Method.POST, path="a", client=Client(address="127.0.0.1"))
    worker._submit(request, Place.ACTIVE, Why.WRITE, Memo(results=results, spent=True))
    return msgspec.msgpack.decode(msgspec.msgpack.encode(sent[0]), type=Submit).memo


def test_what_is_plain_goes_along_and_a_record_is_computed_anew() -> None:
    """A record came to main as a map: a policy parsed by a worker was a defect there, answered 500."""
    plain: dict[bytes, object] = {b"hash": b"\x00", b"text": "a", b"matches": True}
    memo = asyncio.run(handed_on(plain | {b"policy": parse('path "a" { capabilities = ["read"] }')}))
    assert memo.results == plain
    assert memo.spent
