"""Clients at this node that wait for what `ha.Machine` says of their requests, each under a ticket.

Invariants: (1) a ticket is answered at most once, and its number is never used again; (2) whoever goes away unanswered is told of, once.
"""
import asyncio
from collections.abc import Callable
from functools import partial

from holdfast.errors import HoldfastError
from holdfast.node.serving import Served

Answer = asyncio.Future[Served]


class Tickets:
    """`gone`: hears of each ticket whose client waits no longer."""

    def __init__(self, gone: Callable[[int], None]) -> None:
        self._gone = gone
        self._waiting: dict[int, Answer] = {}
        self._last = 0

    def issue(self) -> tuple[Answer, int]:
        answer: Answer = asyncio.get_running_loop().create_future()
        self._last += 1
        self._waiting[self._last] = answer
        answer.add_done_callback(partial(self._ended, self._last))
        return answer, self._last

    def answer(self, ticket: int | None, served: Served) -> bool:
        """Whether anybody still waits for it."""
        waiting = self._taken(ticket)
        if waiting is not None:
            waiting.set_result(served)
        return waiting is not None

    def fail(self, ticket: int | None, error: HoldfastError) -> None:
        waiting = self._taken(ticket)
        if waiting is not None:
            waiting.set_exception(error)

    def _taken(self, ticket: int | None) -> Answer | None:
        waiting = self._waiting.pop(ticket, None) if ticket is not None else None
        return None if waiting is None or waiting.done() else waiting

    def _ended(self, ticket: int, answer: Answer) -> None:
        if self._waiting.pop(ticket, None) is not None and answer.cancelled():
            self._gone(ticket)
