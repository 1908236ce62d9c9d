"""Joining a cluster, from both sides: the node that wants in, and the active node that lets it.

A node that joins has nothing but its configuration. It asks a leader's API for a challenge, opens it with the seal (at once, or when enough
shares were given to it), and is then a member; the log brings the state, and the state its keys. Invariants: (1) until the state is here,
nothing of the join is kept but in memory: after a restart it is asked for again, with the same ids, and nothing happens twice; (2) a
node that has a state of its own joins nothing.
"""
import asyncio
import base64
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Protocol, TypeVar

import msgspec

from holdfast.cluster import Identity
from holdfast.config import RetryJoin, with_files
from holdfast.core.lane import Internal, Task
from holdfast.crypto import SHAMIR_KEK, Seal, SealConfig, Secret, ShamirSeal
from holdfast.crypto import join as handshake
from holdfast.engine import Attempt, Reply, Txn
from holdfast.engine.effect import AdmitJoiner, ChallengeJoiner, ChangeMembership, Join
from holdfast.errors import BadRequest, HoldfastError, UnavailableError
from holdfast.ids import Millis, NodeId
from holdfast.limits import JOIN_RETRY_S, JOIN_SAID_S, JOIN_STATE_S
from holdfast.node.api_client import ApiError, Target
from holdfast.node.attempts import Attempts
from holdfast.node.background import Background
from holdfast.node.raft_links import RAFT_IDENTITY
from holdfast.node.unsealing import seal_config
from holdfast.storage import FenceLost
from holdfast.storage.raft import Member, RaftLog
from holdfast.system import autopilot
from holdfast.telemetry.log import Logger

TWIN_SILENT_MS = 5_000                               # a member that was heard of later than this is alive: heartbeats come every 50 ms
CHALLENGE_PATH, ANSWER_PATH = "sys/storage/raft/bootstrap/challenge", "sys/storage/raft/bootstrap/answer"
GIVEN_WAY_S = 10.0                                   # for draining (DRAIN_MAX_MS) and raft's transfer; then it goes without a successor

T = TypeVar("T")


class Challenge(msgspec.Struct, frozen=True, kw_only=True):
    challenge: str
    seal_config: SealConfig


class Challenged(msgspec.Struct, frozen=True, kw_only=True):
    data: Challenge


class PeerOut(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    address: str
    suffrage: int                                    # 0: voter, 1: none


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """`tls_keyring`: what members show each other, under the cluster's seal, in base64."""

    peers: tuple[PeerOut, ...]
    tls_keyring: str


class Admitted(msgspec.Struct, frozen=True, kw_only=True):
    data: Admission


class JoinOut(msgspec.Struct, frozen=True):
    joined: bool


class JoinFailed(BadRequest):
    """The cluster could not be asked, or did not want this node. Source: Vault, for the status."""

    status = 500


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """A challenge that is not answered yet."""

    target: Target
    sealed: bytes
    seal_config: SealConfig
    non_voter: bool


class Home(Protocol):
    """The node that joins."""

    @property
    def is_initialized(self) -> bool: ...
    def join_pending(self, config: SealConfig | None) -> None:
        """Shares for this configuration are wanted; None: no more."""

    async def unseal_with(self, seal: Seal) -> None: ...


class Receiving(Protocol):
    async def receive_state(self, identity: Identity, *, within_s: float) -> None:
        """Follows the log as a new member until the state has the cluster's keys. Raises UnavailableError."""


CallApi = Callable[[Target, str, bytes], Awaitable[bytes]]
"""POSTs a body to a path of a leader's API. Raises ApiError, OSError."""


class Joiner:
    """`auto`: the seal of the configuration, None for shares."""

    def __init__(self, home: Home, cluster: Receiving, log: RaftLog, *, node: NodeId, cluster_address: str, auto: Seal | None,
                 call: CallApi, logger: Logger, api_address: str = "") -> None:
        self._home, self._cluster, self._log, self._node, self._address = home, cluster, log, node, cluster_address
        self._api_address = api_address.rstrip("/")
        self._auto = auto
        self._call, self._logger = call, logger
        self._pending: Pending | None = None
        self._background = Background()
        self._trying: asyncio.Task[None] | None = None
        self._one = asyncio.Lock()

    @property
    def pending(self) -> SealConfig | None:
        """How the cluster that is to be joined is sealed, while its shares are wanted."""
        return self._pending.seal_config if self._pending else None

    async def join(self, asked: Join) -> Reply:
        """sys/storage/raft/join. Raises BadRequest, JoinFailed, UnavailableError."""
        target = Target(address=asked.leader_api_addr, ca_cert=asked.leader_ca_cert, client_cert=asked.leader_client_cert,
                        client_key=asked.leader_client_key, server_name=asked.leader_tls_servername)
        if self._home.is_initialized:
            return _json(JoinOut(True))                  # as in Vault: whoever has a state is where it belongs
        if asked.retry:
            self.keep_trying((target,), non_voter=asked.non_voter)
            return _json(JoinOut(False))
        try:
            await self._try(target, non_voter=asked.non_voter)
        except (ApiError, OSError) as error:
            raise JoinFailed(f"failed to join raft cluster: {error}") from error
        return _json(JoinOut(True))

    def keep_trying(self, targets: Sequence[Target], *, non_voter: bool) -> None:
        """Asks one after the other until this node has the state, or has what it needs but the shares."""
        if self._trying is None or self._trying.done():
            self._trying = self._background.begin(self._keep_trying(tuple(targets), non_voter=non_voter))

    def stop(self) -> None:
        if self._trying is not None:
            self._trying.cancel()

    async def _keep_trying(self, targets: Sequence[Target], *, non_voter: bool) -> None:
        now_s = asyncio.get_running_loop().time
        said: dict[str, tuple[str, float]] = {}          # of a leader: why it was not, and when that was told
        while not self._home.is_initialized:
            for target in targets:
                try:
                    await self._try(target, non_voter=non_voter)
                except (HoldfastError, ApiError, OSError) as error:
                    before, since_s = said.get(target.address, ("", 0.0))
                    if str(error) != before or now_s() - since_s >= JOIN_SAID_S:
                        said[target.address] = str(error), now_s()
                        self._logger.warn("raft.join_failed", leader=target.address, why=str(error))
                else:
                    return
            await asyncio.sleep(JOIN_RETRY_S)

    async def _try(self, target: Target, *, non_voter: bool) -> None:
        async with self._one:
            if self._home.is_initialized:
                return
            if self._api_address and target.address.rstrip("/") == self._api_address:
                raise BadRequest(f"{target.address} is this node itself: name another node of the cluster")
            body = msgspec.json.encode({"server_id": self._node})
            found = _decode(await self._call(target, CHALLENGE_PATH, body), Challenged).data
            wanted = self._auto.type.value if self._auto else "shamir"
            if found.seal_config.type.value != wanted:
                raise BadRequest(f"the cluster at {target.address} has a {found.seal_config.type.value} seal, this node a {wanted} seal")
            self._pending = Pending(target=target, sealed=base64.b64decode(found.challenge), seal_config=found.seal_config,
                                    non_voter=non_voter)
            if self._auto is not None:
                await self._answer(self._auto)
            else:
                self._home.join_pending(found.seal_config)
                self._logger.info("raft.join_waits_for_shares", leader=target.address, threshold=found.seal_config.secret_threshold)

    async def answer_with(self, seal: Seal) -> None:
        """Enough shares have come. Raises BadRequest: they are wrong; UnavailableError, OSError: the leader cannot be asked now."""
        async with self._one:
            pending = self._pending
            if pending is None:
                return
            # The challenge may have run out while shares were collected: a fresh one costs one call.
            body = msgspec.json.encode({"server_id": self._node})
            try:
                found = _decode(await self._call(pending.target, CHALLENGE_PATH, body), Challenged).data
                self._pending = msgspec.structs.replace(pending, sealed=base64.b64decode(found.challenge))
                await self._answer(seal)
            except (ApiError, OSError) as error:
                raise UnavailableError(f"failed to join raft cluster: {error}") from error

    async def _answer(self, seal: Seal) -> None:
        pending = self._pending
        assert pending is not None, "an answer has a challenge"
        answered = handshake.answer(seal, pending.sealed)
        body = msgspec.json.encode({
            "server_id": self._node, "raft_id": self._log.raft_id, "cluster_addr": self._address, "non_voter": pending.non_voter,
            "answer": base64.b64encode(answered).decode()})
        admission = _decode(await self._call(pending.target, ANSWER_PATH, body), Admitted).data
        secret = handshake.take_over(seal, base64.b64decode(admission.tls_keyring))
        identity = msgspec.msgpack.decode(secret.value, type=Identity)
        await self._cluster.receive_state(identity, within_s=JOIN_STATE_S)
        self._pending = None
        self._home.join_pending(None)
        self._logger.info("raft.joined", leader=pending.target.address)
        await self._home.unseal_with(seal)


class Admitting:
    """The active node's side. `write`: takes work of the node's own to the lane; `gives_way`: as `Clustering.gives_way`."""

    def __init__(self, attempts: Attempts, log: RaftLog, auto: Seal | None, draw: Callable[[int], bytes], now: Callable[[], Millis],
                 boot_ms: Callable[[], Millis], write: Callable[[Task], None], gives_way: Callable[[str], bool], logger: Logger) -> None:
        self._attempts, self._log, self._auto, self._draw, self._now, self._logger = attempts, log, auto, draw, now, logger
        self._boot_ms, self._write, self._gives_way = boot_ms, write, gives_way
        self._background = Background()

    def challenge(self, asked: ChallengeJoiner) -> Reply:
        """sys/storage/raft/bootstrap/challenge."""
        identity, seal, config = self._secrets()
        made = handshake.challenge(seal, identity.key, server_id=asked.server_id, now_ms=self._now(), draw=self._draw)
        return _json(Challenged(data=Challenge(challenge=base64.b64encode(made).decode(), seal_config=config)))

    async def admit(self, asked: AdmitJoiner) -> Reply:
        """sys/storage/raft/bootstrap/answer. Raises BadRequest: a wrong answer; UnavailableError."""
        identity, seal, _ = self._secrets()
        handshake.check(identity.key, asked.answer, server_id=asked.server_id, now_ms=self._now())
        node = NodeId(asked.server_id)
        for known in self._log.status.members:
            if known.raft_id == asked.raft_id:
                continue
            self._refuse_twin(known, asked)
            if known.id == node:
                self._logger.warn("raft.member_replaced", node=node, address=asked.cluster_addr, why="it comes back with an empty folder")
                await self._log.remove(known.raft_id)    # the same name on an empty disk: what it had is gone
        member = Member(id=node, raft_id=asked.raft_id, address=asked.cluster_addr, voter=False)
        known_as = {known.raft_id: known for known in self._log.status.members}.get(asked.raft_id)
        if asked.non_voter is not (node in self._attempts.read(autopilot.non_voters)):
            self._write(Internal(partial(_keep_without_vote, node, asked.non_voter)))    # or autopilot would soon give it a vote
        if known_as is None or not known_as.voter or known_as.address != asked.cluster_addr:
            await self._log.add(member, voter=False)
        if not asked.non_voter:
            self._background.begin(self._promote(member))
        handed = handshake.hand_over(seal, Secret(msgspec.msgpack.encode(identity)), draw=self._draw)
        members = self._log.status.members
        peers = tuple(PeerOut(id=member.id, address=member.address, suffrage=0 if member.voter else 1) for member in members)
        return _json(Admitted(data=Admission(peers=peers, tls_keyring=base64.b64encode(handed).decode())))

    def _refuse_twin(self, known: Member, asked: AdmitJoiner) -> None:
        """Two nodes of one name: the second one would push the first one out. Of one address: nobody would reach the second one. Where both
        are the same it is the first one, without its disk. Raises BadRequest."""
        has_its_name, is_at_its_address = known.id == asked.server_id, known.address == asked.cluster_addr
        if has_its_name is is_at_its_address:
            return
        status = self._log.status
        heard_ms = {peer.raft_id: self._boot_ms() - peer.last_contact_boot_ms for peer in status.peers if peer.last_contact_boot_ms}
        if known.id == status.leader or heard_ms.get(known.raft_id, TWIN_SILENT_MS) < TWIN_SILENT_MS:
            self._logger.warn("raft.join_refused", node=asked.server_id, address=asked.cluster_addr,
                              why=f"{known.id} is a member at {known.address}")
            own = "another node_id" if has_its_name else "a cluster_addr of its own"
            raise BadRequest(f"a member with the id {known.id} is at {known.address} and answers: give this node {own}, "
                             "or remove that one first")

    async def change(self, asked: ChangeMembership) -> None:
        """Raises BadRequest, UnavailableError; FenceLost: the node that leads next is to do it."""
        try:
            if asked.raft_id == self._log.raft_id and asked.change != "promote" and self._gives_way(f"{asked.change} asked of it"):
                await self._led_by_another()             # or all would wait for an election
            match asked.change:
                case "remove":
                    await self._log.remove(asked.raft_id)
                    self._logger.warn("raft.member_removed", node=asked.node, hint="it has to be wiped before it can join again")
                case "promote":
                    await self._log.promote(asked.raft_id)
                case _:
                    await self._log.demote(asked.raft_id)
        except UnavailableError as error:
            if self._log.status.is_leader:
                raise
            raise FenceLost(str(error)) from error

    async def _led_by_another(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GIVEN_WAY_S):
                while self._log.status.is_leader:
                    await self._log.change()

    async def _promote(self, member: Member) -> None:
        try:
            await self._log.promote(member.raft_id)
        except HoldfastError as error:
            self._logger.warn("raft.not_promoted", node=member.id, why=str(error))

    def seal(self) -> Seal:
        """The cluster's seal, as an unsealed node can use it. Raises UnavailableError."""
        return self._secrets()[1]

    def _secrets(self) -> tuple[Identity, Seal, SealConfig]:
        identity = self._attempts.read(lambda txn: RAFT_IDENTITY.get(txn, ""))
        kek = self._attempts.read(lambda txn: txn.get(SHAMIR_KEK))
        reader = self._attempts.replica.open()
        try:
            config = seal_config(reader)
        finally:
            reader.close()
        if identity is None or config is None or (self._auto is None and kek is None):
            raise UnavailableError("this node has not the keys that a join needs")
        return identity, self._auto or ShamirSeal(Secret(kek or b"")), config


def leaders(named: Iterable[RetryJoin]) -> tuple[Target, ...]:
    """Whom the storage stanza names, in its order. Raises ConfigError: a file of certificates cannot be read."""
    return tuple(
        Target(address=block.leader_api_addr, ca_cert=block.leader_ca_cert, client_cert=block.leader_client_cert,
               client_key=Secret(block.leader_client_key.encode()) if block.leader_client_key else None,
               server_name=block.leader_tls_servername)
        for block in map(with_files, named))


def _keep_without_vote(node: NodeId, without: bool, txn: Txn, attempt: Attempt) -> None:
    autopilot.keep_without_vote(txn, node, without=without)


def _decode(body: bytes, type_: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=type_)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ApiError(f"an answer that is none of a cluster's: {error}") from error


def _json(body: object) -> Reply:
    return Reply(status=200, body=msgspec.json.encode(body) + b"\n")
