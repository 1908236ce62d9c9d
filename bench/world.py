"""What the workloads share: a node in a folder of its own, a KV mount with keys, tokens, and where figures come from."""
from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import uvloop
from tests.client import Answer, Client
from tests.node import Node, mount, new_token, policy
from tests.processes import workers_of

from bench.lines import fill
from bench.machine import cores, pinned
from bench.wrk import Ask, Contender, write_requests

MOUNT = "bench"
READER = f'path "{MOUNT}/*" {{ capabilities = ["create", "read", "update", "delete", "list"] }}'
SECRET = {"username": "application", "password": "a-password-of-thirty-two-letters"}
BODY = json.dumps({"data": SECRET})
KEYS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Another server with Vault's API."""

    url: str
    token: str

    def connect(self) -> socket.socket:
        """Its certificate is not asked about: nothing secret goes there but its own token."""
        parts = urlsplit(self.url)
        secure = parts.scheme == "https"
        sock = socket.create_connection((parts.hostname or "", parts.port or (443 if secure else 80)), timeout=10)
        if not secure:
            return sock
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context.wrap_socket(sock, server_hostname=parts.hostname)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """`quick`: sizes that only show that everything runs."""

    folder: Path
    quick: bool
    peer: Peer | None

    @property
    def seconds(self) -> float:
        """Of one run under load."""
        return 1 if self.quick else 6

    @property
    def rounds(self) -> int:
        return 1 if self.quick else 5

    def size(self, full: int, quick: int) -> int:
        return quick if self.quick else full

    @contextmanager
    def node(self, *, one_core: bool = True) -> Iterator[Node]:
        """A node with one worker on file storage, unsealed; it ends with the block. `one_core`: all its processes on one."""
        both = cores()
        node = Node(self.folder / "node", command=pinned(both[0]) if both and one_core else ())
        try:
            yield node.begin()
        finally:
            node.end()

    def contender(self, node: Node, requests: Path) -> Contender:
        return Contender(name="holdfast", url=node.address, requests=requests, pids=lambda: [node.pid, *workers_of(node.pid)])

    @contextmanager
    def peer_contender(self, asks: Sequence[Ask], *, keys: int) -> Iterator[list[Contender]]:
        """The peer under the same requests on a mount of the same name, which goes again; nothing without a peer."""
        if self.peer is None:
            yield []
            return
        client = Client(self.peer.connect, self.peer.token)
        mount(client, MOUNT)
        try:
            for number in range(keys):
                client.post(f"{MOUNT}/data/{key(number)}", {"data": SECRET}).ok()
            token = self.peer.token
            file = write_requests(self.folder / "peer-requests", ((method, path, token, body) for method, path, _, body in asks))
            yield [Contender(name="peer", url=self.peer.url, requests=file, pids=tuple)]
        finally:
            client.delete(f"sys/mounts/{MOUNT}").ok()
            client.close()


def key(number: int) -> str:
    return f"key-{number}"


def mount_with_keys(node: Node, keys: int) -> str:
    """KV version 2 with so many keys; gives a token that may use it."""
    root = node.main()
    mount(root, MOUNT)
    policy(root, MOUNT, READER)
    uvloop.run(fill(node.unix, (("POST", f"/v1/{MOUNT}/data/{key(number)}", node.root_token, BODY) for number in range(keys))))
    return new_token(root, MOUNT)


def tokens(node: Node, count: int, parent: str, **fields: object) -> list[str]:
    """So many children of a token."""
    body = json.dumps(fields)
    made = uvloop.run(fill(node.unix, (("POST", "/v1/auth/token/create", parent, body) for _ in range(count)), keep=True))
    return [json.loads(each)["auth"]["client_token"] for each in made]


def one_read(node: Node, token: str) -> Answer:
    """The answer that all reads of a run are like."""
    return node.client(token).get(f"{MOUNT}/data/{key(0)}").ok()
