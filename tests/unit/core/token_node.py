"""A node for the tests of tokens and what hangs on them: `OneNode` with the token method and the contract engines mounted."""
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.contract.engine import CONTRACT, CONTRACT_AUTH
from tests.contract.one_node import OneNode, Seen

from holdfast.core.mounts import MOUNTS, MountEntry
from holdfast.core.outcome import Answer
from holdfast.engine import Engine, Method, Place, Txn

GET, LIST, POST, DELETE = Method.GET, Method.LIST, Method.POST, Method.DELETE
TOKEN_MOUNT = MountEntry(uuid="uuid-token", path="auth/token/", type="token", accessor="auth_token_1", is_auth=True)


class TokenNode(OneNode):
    """`folder` is where the contract engine's outside is."""

    def __init__(self, folder: Path | None = None, mounts: Mapping[str, Engine] = {}) -> None:
        super().__init__({"contract/": CONTRACT, "auth/contract/": CONTRACT_AUTH, **mounts})
        self._write(lambda txn, rng: MOUNTS.put(txn, TOKEN_MOUNT.uuid, TOKEN_MOUNT))
        if folder is not None:
            assert self.post("contract/world", {"folder": str(folder)}).status == 204

    def post(self, path: str, body: object = None, **options: Any) -> Seen:
        return self.call(POST, path, body, **options)

    def policy(self, name: str, text: str) -> None:
        assert self.post(f"sys/policies/acl/{name}", {"policy": text}).status == 204

    def create(self, body: Mapping[str, object] | None = None, *, token: str = "", path: str = "auth/token/create") -> str:
        """Makes a token that must come out; gives its text."""
        seen = self.post(path, body or {}, token=token)
        assert seen.status == 200, seen.reply.body
        return str(seen.json["auth"]["client_token"])

    def lookup(self, token: str) -> Seen:
        return self.call(GET, "auth/token/lookup-self", token=token)

    def is_alive(self, token: str) -> bool:
        """Asked with no effect on the token's uses."""
        seen = self.post("auth/token/lookup", {"token": token})
        assert seen.status in (200, 403), seen.reply.body
        return seen.status == 200

    def at_worker(self, method: Method, path: str, body: object = None, *, token: str | None = "") -> int | None:
        """The status that a worker answers alone; None: it hands the request on."""
        outcome = self.attempt(self.request(method, path, body, token=token), Place.WORKER)
        return outcome.reply.status if isinstance(outcome, Answer) else None

    def txn(self) -> Txn:
        return self._txn(Place.ACTIVE)

    def advance(self, seconds: float) -> None:
        self.now_ms += int(seconds * 1000)
