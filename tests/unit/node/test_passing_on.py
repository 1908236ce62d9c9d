"""An answer longer than any frame: a list of long names is. It ended whoever was to pass it on, or to take it."""
from __future__ import annotations

import asyncio
from typing import cast

from holdfast.core import envelope
from holdfast.engine import Reply, WriteId
from holdfast.ha.message import ForwardReply, encode
from holdfast.ids import NodeId
from holdfast.limits import FORWARD_MAX_BYTES, PASSED_ANSWER_MAX_BYTES
from holdfast.node.message import Channel, FromWorker, ToWorker
from holdfast.node.spawn import WorkerProcess

HEADERS = (("X-Vault-Index", "x" * 65_536),)


class Sent:
    """Main's end of a worker's channel."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def send(self, message: ToWorker) -> None:
        self.sizes.append(len(message.reply.body))  # type: ignore[union-attr]  # it is told nothing but answers


def test_to_another_node() -> None:
    id = WriteId(node=NodeId("n1"), incarnation=1, sequence=1)
    assert envelope.passed_on(Reply(status=200, body=bytes(FORWARD_MAX_BYTES))).status == 413
    longest = envelope.passed_on(Reply(status=200, body=bytes(PASSED_ANSWER_MAX_BYTES), headers=HEADERS))
    assert longest.status == 200
    assert len(encode(ForwardReply(id=id, reply=longest))[1]) > PASSED_ANSWER_MAX_BYTES


def test_to_a_worker() -> None:
    sent = Sent()

    async def answer() -> None:
        worker = WorkerProcess(cast("asyncio.subprocess.Process", None), lambda *_: None, lambda _: None, lambda _: None)
        worker.channel = cast("Channel[FromWorker]", sent)
        for size in (PASSED_ANSWER_MAX_BYTES, PASSED_ANSWER_MAX_BYTES + 1):
            worker.answer(1, Reply(status=200, body=bytes(size)))

    asyncio.run(answer())
    assert sent.sizes[0] == PASSED_ANSWER_MAX_BYTES
    assert sent.sizes[1] < 1_000
