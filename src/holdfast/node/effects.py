"""What each effect does at this node. An effect whose answer is its value gives the reply; of the others the reply is not looked at."""
import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Protocol, assert_never

import msgspec

from holdfast.core import leases
from holdfast.crypto import NewCluster, Secret, new_auto_cluster, new_shamir_cluster
from holdfast.crypto import Seal as Sealing
from holdfast.engine import Effect, Reply, Rng, Stream
from holdfast.engine.effect import (
    AdmitJoiner,
    AwaitRevoked,
    ChallengeJoiner,
    ChangeMembership,
    CollectMetrics,
    Init,
    Join,
    Monitor,
    Reload,
    RestoreSnapshot,
    SaveSnapshot,
    Seal,
    ShowLeader,
    ShowSealStatus,
    StepDown,
    Unseal,
)
from holdfast.engine.listener import Listener
from holdfast.errors import BadRequest
from holdfast.ids import Millis, RequestId
from holdfast.node.main import Main
from holdfast.node.measuring import took
from holdfast.node.serving import Served
from holdfast.storage import FenceLost
from holdfast.storage.raft import RaftStatus
from holdfast.system.status import leader_status, seal_status

DONE = Reply(status=204)
REVOKED_POLL_S = 0.05                                # as often as the due queue is looked at


class InitOut(msgspec.Struct, frozen=True, kw_only=True):
    """sys/init's answer. Source: Vault API, sys/init."""

    keys: tuple[str, ...]
    keys_base64: tuple[str, ...]
    recovery_keys: tuple[str, ...] | msgspec.UnsetType
    recovery_keys_base64: tuple[str, ...] | msgspec.UnsetType
    root_token: str


class Joining(Protocol):
    """This node's way into a cluster that others run."""

    async def join(self, asked: Join) -> Reply: ...


class Admitting(Protocol):
    """Others' way in and out, at the active node."""

    def challenge(self, asked: ChallengeJoiner) -> Reply: ...
    async def admit(self, asked: AdmitJoiner) -> Reply: ...
    async def change(self, asked: ChangeMembership) -> None: ...


class Snapshots(Protocol):
    """The state of the cluster, out and in again."""

    async def save(self) -> Stream: ...
    async def restore(self, upload: RequestId, *, force: bool) -> Reply: ...


class Effects:
    """`auto`: the seal of the configuration, None for shares. The three callables reach what stands outside `Main`."""

    def __init__(self, main: Main, auto: Sealing | None, *, reload: Callable[[], Awaitable[None]],
                 metrics: Callable[[bool], Awaitable[Reply]], monitor: Callable[[str, bool], AsyncIterator[bytes]]) -> None:
        self._main, self._auto = main, auto
        self.joiner: Joining | None = None                # these four: where the storage has members
        self.snapshots: Snapshots | None = None
        self.raft_status: Callable[[], RaftStatus] | None = None
        self.admitting: Admitting | None = None
        self._reload, self._metrics, self._monitor = reload, metrics, monitor

    async def perform(self, effect: Effect) -> Served:
        """Raises BadRequest where the effect cannot be had here; FenceLost: another node, the active one, can carry it out."""
        match effect:
            case Init():
                return await self._init(effect)
            case Unseal(share=share, listener=listener, migrate=migrate):
                with took(self._main.metrics, "core.unseal"):
                    return await self._unseal(share, listener, migrate=migrate)
            case ShowSealStatus(listener=listener):
                return self._status(listener)
            case ShowLeader(listener=listener):
                raft = self.raft_status() if self.raft_status is not None else None
                return _json(leader_status(self._main.facts, listener, index=self._main.replica.state.index,
                                           raft_committed=raft.last if raft else 0, raft_applied=raft.applied if raft else 0))
            case Seal():
                with took(self._main.metrics, "core.seal-with-request", "core.seal-internal"):
                    await self._main.seal()
            case StepDown():
                self._main.step_down()
            case CollectMetrics(prometheus=prometheus):
                return await self._metrics(prometheus)
            case Reload():
                await self._reload()
            case Monitor(level=level, json=as_json):
                return Stream(status=200, content_type="text/plain; charset=utf-8", chunks=self._monitor(level, as_json))
            case AwaitRevoked():
                await self._revoked(effect)
            case Join() | ChallengeJoiner() | AdmitJoiner() | ChangeMembership():
                return await self._membership(effect)
            case SaveSnapshot() | RestoreSnapshot():
                if self.snapshots is None:
                    raise BadRequest("raft storage is not in use")
                if isinstance(effect, SaveSnapshot):
                    return await self.snapshots.save()
                return await self.snapshots.restore(effect.upload, force=effect.force)
            case other:
                assert_never(other)
        return DONE

    async def _membership(self, effect: Join | ChallengeJoiner | AdmitJoiner | ChangeMembership) -> Reply:
        if self.joiner is None or self.admitting is None:
            raise BadRequest("raft storage is not in use")
        match effect:
            case Join():
                return await self.joiner.join(effect)
            case ChallengeJoiner():
                return self.admitting.challenge(effect)
            case AdmitJoiner():
                return await self.admitting.admit(effect)
            case ChangeMembership():
                await self.admitting.change(effect)
                return DONE
            case other:
                assert_never(other)

    async def _init(self, effect: Init) -> Reply:
        auto = self._auto

        def new(rng: Rng, now_ms: Millis) -> NewCluster:
            if auto is None:
                return new_shamir_cluster(shares=effect.shares, threshold=effect.threshold, draw=rng.bytes, now_ms=now_ms)
            return new_auto_cluster(auto, shares=effect.recovery_shares, threshold=effect.recovery_threshold, draw=rng.bytes, now_ms=now_ms)

        made, root_token = await self._main.initialise(new)
        if auto is not None:
            await self._main.unseal_itself()
        in_hex = tuple(share.value.hex() for share in made.shares)
        in_base64 = tuple(base64.b64encode(share.value).decode() for share in made.shares)
        return _json(InitOut(
            keys=() if auto else in_hex, keys_base64=() if auto else in_base64, recovery_keys=in_hex if auto else msgspec.UNSET,
            recovery_keys_base64=in_base64 if auto else msgspec.UNSET, root_token=root_token.value.decode()))

    async def _revoked(self, awaited: AwaitRevoked) -> None:
        """Until the due queue has had its turn with all of it. Raises BadRequest: an engine could not revoke; FenceLost: this node works on
        the queue no more."""
        progress = leases.NOT_BEGUN
        while self._main.is_active:
            before, progress = progress, self._main.attempts.read(partial(leases.progress, awaited=awaited, before=progress))
            if progress.done:
                break
            await asyncio.sleep(REVOKED_POLL_S if progress.after == before.after else 0)
        else:
            raise FenceLost("this node is not active any more: what was revoked stays revoked")
        if progress.failed:
            raise BadRequest(f'failed to revoke "{progress.failed}": its engine could not; it will be asked again')

    async def _unseal(self, share: Secret | None, listener: Listener, *, migrate: bool) -> Reply:
        if share is None:
            await self._main.forget_shares()
        else:
            await self._main.offer_share(share, migrate=migrate)
        return self._status(listener)

    def _status(self, listener: Listener) -> Reply:
        return _json(seal_status(self._main.facts, listener))


def _json(body: msgspec.Struct) -> Reply:
    return Reply(status=200, body=msgspec.json.encode(body) + b"\n")
