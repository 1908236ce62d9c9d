"""Every path that begins a route's, with and without its final slash, by every method, asked by nobody and by root, of a node as it is
initialised: an answer, and never one that says that we broke. `LIST sys` without a token once ended the process."""
from __future__ import annotations

from itertools import accumulate, product

import pytest
from tests.contract.one_node import OneNode
from tests.property.test_every_operation import ABOUT_KEYS, OPERATIONS

from holdfast.core import bootstrap
from holdfast.engine import Method, Rng, Txn
from holdfast.ids import Millis


class FirstState(OneNode):
    """With the first state of a cluster instead of one of its own."""

    def _first_state(self, txn: Txn, rng: Rng) -> None:
        self.root = bootstrap.write_first_state(txn, rng, Millis(self.now_ms)).value.decode()


BEGINNINGS = sorted({path + end for pattern, _, _ in OPERATIONS for path in accumulate(pattern.split("/"), "{}/{}".format)
                     for end in ("", "/", "//")} - set(ABOUT_KEYS))


@pytest.mark.parametrize("token", [None, ""])
def test_every_beginning_of_a_path_has_an_answer(token: str | None) -> None:
    node = FirstState()
    for path, method in product(BEGINNINGS, Method if token is None else (Method.GET, Method.LIST, Method.HELP)):
        seen = node.call(method, path, token=token)
        assert seen.status < 500 or path.startswith("sys/health"), (method, path, seen.reply.body)
    assert not node.defects
