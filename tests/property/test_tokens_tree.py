"""Token trees against a simple model: whatever is made, revoked, orphaned, renewed and expired in any order, with the work of the due queue
done whenever it likes, a token is alive exactly if the model says so; and when all work is done, nothing is left but the living."""
from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests.unit.core.token_node import TokenNode

from holdfast.core import due
from holdfast.core.secret_names import token_name
from holdfast.engine import Memo
from holdfast.ids import Millis


@dataclass(eq=False)
class Model:
    """A token as a person would explain it."""

    text: str
    parent: "Model | None"
    expires_ms: int
    is_batch: bool
    revoked: bool = False

    def is_alive(self, now_ms: int) -> bool:
        return not self.revoked and now_ms < self.expires_ms and (self.parent is None or self.parent.is_alive(now_ms))


INDEX = st.integers(0, 1_000)
TTL_S = st.integers(1, 30)


class Trees(RuleBasedStateMachine):
    """`index` picks one of the tokens there are, the newest first: so small numbers are enough for deep trees."""

    def __init__(self) -> None:
        super().__init__()
        self.node = TokenNode()
        self.node.policy("maker", 'path "auth/token/*" { capabilities = ["update", "sudo"] }')
        self.known: list[Model] = []
        for _ in range(2):
            self.plant(20)

    @rule(ttl_s=TTL_S)
    def plant(self, ttl_s: int) -> None:
        text = self.node.create({"policies": ["maker"], "ttl": ttl_s, "no_parent": True})
        self.known.append(Model(text, None, self.node.now_ms + ttl_s * 1000, is_batch=False))

    @rule(index=INDEX, ttl_s=TTL_S, is_batch=st.sampled_from([False, False, True]))
    def grow(self, index: int, ttl_s: int, is_batch: bool) -> None:
        self._grow(self._pick(index, among_living=True), ttl_s, is_batch)

    @rule(index=INDEX, ttl_s=TTL_S)
    def grow_more(self, index: int, ttl_s: int) -> None:
        for _ in range(2):
            self._grow(self._pick(index, among_living=True), ttl_s, is_batch=False)

    @rule(index=INDEX)
    def grow_from_any(self, index: int) -> None:
        self._grow(self._pick(index), 10, is_batch=False)

    def _grow(self, parent: Model, ttl_s: int, is_batch: bool) -> None:
        seen = self.node.post("auth/token/create", {"ttl": ttl_s, "type": "batch" if is_batch else "service"}, token=parent.text)
        if not parent.is_alive(self.node.now_ms):
            assert seen.status == 403
        elif parent.is_batch:
            assert seen.status == 400
        else:
            text = seen.json["auth"]["client_token"]
            self.known.append(Model(text, parent, self.node.now_ms + ttl_s * 1000, is_batch=is_batch))

    @rule(index=INDEX)
    def revoke(self, index: int) -> None:
        token = self._pick(index)
        seen = self.node.post("auth/token/revoke", {"token": token.text})
        if token.is_batch and token.is_alive(self.node.now_ms):
            assert seen.status == 400
        else:
            assert seen.status == 204
            token.revoked = token.revoked or not token.is_batch

    @rule(index=INDEX)
    def revoke_alone(self, index: int) -> None:
        token = self._pick(index)
        alive = token.is_alive(self.node.now_ms)
        seen = self.node.post("auth/token/revoke-orphan", {"token": token.text})
        assert seen.status == (204 if alive and not token.is_batch else 400)
        if seen.status == 204:
            token.revoked = True
            for child in self.known:
                if child.parent is token and not child.is_batch:
                    child.parent = None

    @rule(index=INDEX, increment_s=TTL_S)
    def renew(self, index: int, increment_s: int) -> None:
        token = self._pick(index)
        alive = token.is_alive(self.node.now_ms)
        seen = self.node.post("auth/token/renew-self", {"increment": increment_s}, token=token.text)
        assert seen.status == (403 if not alive else 400 if token.is_batch else 200)
        if seen.status == 200:
            token.expires_ms = self.node.now_ms + increment_s * 1000

    @rule(seconds=st.integers(1, 7))
    def wait(self, seconds: int) -> None:
        self.node.advance(seconds)

    @rule(steps=st.integers(1, 3))
    def work(self, steps: int) -> None:
        for _ in range(steps):
            head = due.next_due(self.node.txn(), Millis(self.node.now_ms), 1).due
            if head:
                self.node._do(head[0].key, Memo())

    @rule()
    def work_twice(self) -> None:
        """A node that lost its role may come late: its step finds the entry gone."""
        head = due.next_due(self.node.txn(), Millis(self.node.now_ms), 1).due
        for _ in range(2):
            if head:
                self.node._do(head[0].key, Memo())

    @invariant()
    def exactly_the_living_are_alive(self) -> None:
        for token in self.known:
            assert self.node.is_alive(token.text) is token.is_alive(self.node.now_ms), token

    def teardown(self) -> None:
        self.node.run_due()
        self.exactly_the_living_are_alive()
        living = {token_name(self.node.txn(), token.text) for token in self.known
                  if not token.is_batch and token.is_alive(self.node.now_ms)}
        living.add(token_name(self.node.txn(), self.node.root))
        assert {key.rpartition("/")[2] for key in self.node.keys("core/token/id/")} == living
        assert len(self.node.keys("core/token/accessor/")) == len(living)
        assert len(self.node.keys("core/token/path/")) == len(self.node.keys("core/due/")) == len(living) - 1
        assert self.node.keys("core/mark/") == ()

    def _pick(self, index: int, *, among_living: bool = False) -> Model:
        some = [token for token in self.known if token.is_alive(self.node.now_ms) and not token.is_batch] if among_living else []
        some = some or self.known
        return some[-1 - index % len(some)]


TestTrees = Trees.TestCase
TestTrees.settings = settings(max_examples=100, stateful_step_count=30)
