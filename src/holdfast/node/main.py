"""The main process of a node: owns the log and the keys, and carries out what no worker can.

Invariants: (1) keys reach the workers before the facts that say "unsealed", and leave them before a seal is answered; (2) what is answered
here has passed the same pipeline as in a worker; (3) sealing zeroes the workers' lease first, so that no read is answered after it.
"""
import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from msgspec.structs import replace

from holdfast.core import bootstrap, envelope, redirect
from holdfast.core.access import Access
from holdfast.core.audit_device import Device
from holdfast.core.cluster import CLUSTER, INFO
from holdfast.core.cluster_time import ClusterTime
from holdfast.core.conditions import LOCAL_ONLY
from holdfast.core.keys import USAGE
from holdfast.core.lane import Internal, Lane, Task, Work
from holdfast.core.outcome import Commit, Do, Outside
from holdfast.crypto import AesGcmBarrier, Keyring, NewCluster, Opened, Seal, SealConfig, Secret
from holdfast.crypto.draw import NONCE_BYTES
from holdfast.engine import NOTHING_YET, Attempt, Effect, Memo, NodeFacts, Origin, Place, Reply, Request, Rng, Txn
from holdfast.errors import AuditError, BadRequest, HoldfastError, InvariantError, UnavailableError
from holdfast.ha.gate import CLUSTER_TIME_OFFSET_MS, LEASE_UNTIL_BOOT_MS, WATERMARK, Words
from holdfast.ids import Index, Millis
from holdfast.limits import DERIVED_ENTRIES_MAX
from holdfast.node.attempts import Attempts, Devices
from holdfast.node.clock import Clock
from holdfast.node.commit import Committer, Promise, Replica
from holdfast.node.measuring import RequestMetrics
from holdfast.node.serving import Served, Serving
from holdfast.node.timers import Timers
from holdfast.node.unsealing import Unsealing, open_with, recovery_config, seal_config
from holdfast.replica import Derived, Reader, Reads, Run, Why
from holdfast.storage import FOREVER_BOOT_MS, Fence, FenceLost, Full, Log, WriteBatch, tell_unwritable
from holdfast.telemetry.log import Logger

DERIVED_AT_INIT = 100                                # a handful of values are read once
READS_ELSEWHERE = frozenset((Why.NO_LEASE, Why.ASKED, Why.SESSION, Why.BEHIND))
"""Why a request leaves a node although it may be no write."""


async def in_thread(call: Callable[[], object]) -> object:
    """For what would hold up the event loop: waiting for the disk, bcrypt, an outside."""
    return await asyncio.to_thread(call)


class Workers(Protocol):
    """The other processes of this node."""

    def publish(self, facts: NodeFacts) -> None: ...
    def give_keys(self, keyring: Keyring | None) -> None: ...


class Cluster(Protocol):
    """The other nodes, where the storage can have any."""

    async def start(self, opened: Opened) -> None:
        """Takes part, as a standby at first; from now on it says by itself what this node is."""

    async def stop(self) -> None:
        """Takes part no more; an active node gives the fence on."""

    def forward(self, request: Request, why: Why) -> "asyncio.Future[Served]":
        """To the active node, whichever that is in the end. The result raises UnavailableError."""

    @property
    def confirms_reads(self) -> bool:
        """`consistency = "strict"`: no read without a round."""

    def read_may_begin(self) -> "asyncio.Future[Served]":
        """Done when a round that began after this call has confirmed what is newest, and this node has it. Raises UnavailableError."""

    def applied(self, index: Index) -> None:
        """The active node's replica has everything up to `index`, durably."""

    def step_down(self) -> None:
        """Gives the fence on, if this node has it."""

    def gives_way(self, why: str) -> bool:
        """This node cannot write: another one is to be active. False: there is none, or this was tried a moment ago."""

    def write_first_state(self, txn: Txn) -> None:
        """What the first batch of a cluster holds for its members."""

    async def begin_alone(self, txn: Txn) -> None:
        """A cluster of this node alone, for the time of its first batch, which `txn` has."""

    async def end_alone(self) -> None: ...


class Joiner(Protocol):
    """How this node comes into a cluster that others run."""

    async def answer_with(self, seal: Seal) -> None:
        """Enough shares have come. Raises BadRequest, UnavailableError."""


class Main:
    """What main decides and holds, without its sockets and processes. `draw` gives random bytes."""

    def __init__(self, access: Access, log: Log, replica: Replica, words: Words, clock: Clock, devices: Devices, workers: Workers,
                 unsealing: Unsealing, facts: NodeFacts, draw: Callable[[int], bytes],
                 perform: Callable[[Effect], Awaitable[Served]], metrics: RequestMetrics, logger: Logger, *,
                 derived_max: int = DERIVED_ENTRIES_MAX) -> None:
        self.access, self.log, self.replica, self.words, self.clock = access, log, replica, words, clock
        self.devices, self.workers, self.unsealing, self._draw, self._perform = devices, workers, unsealing, draw, perform
        self.attempts = Attempts(access, replica, words, clock, Place.MAIN, self.draw_seed, derived_max)
        self.metrics = metrics.metrics
        self.serving = Serving(self.attempts, devices, metrics, self.forward, self._carry_out)
        self.serve = self.serving.serve
        self._facts, self._logger = facts, logger
        self.cluster: Cluster | None = None              # None: this node is alone, and active whenever it is unsealed
        self.joiner: Joiner | None = None
        self._opened: Opened | None = None
        self._time: ClusterTime
        self._committer: Committer | None = None
        self._timers: Timers | None = None
        self._ended: Committer | None = None             # of an earlier time as active: what is durable still waits for V
        self._beside: set[asyncio.Future[Served]] = set()                # requests of workers that the lane does not hold on to
        self._configured_name = facts.cluster_name
        self._changing = asyncio.Lock()                  # one init, unseal or seal at a time

    @property
    def facts(self) -> NodeFacts:
        return self._facts

    @property
    def is_active(self) -> bool:
        """It runs the lane and works on the due queue."""
        return self._committer is not None

    @property
    def fence(self) -> Fence | None:
        """That the lane runs under; None: it does not run here."""
        return self._committer.fence if self._committer is not None else None

    def draw_seed(self) -> bytes:
        return self._draw(32)

    def _now(self) -> Millis:
        """Cluster time, also for the workers."""
        now_ms = self._time.now(wall_ms=self.clock.wall_ms(), boot_ms=self.clock.boot_ms())
        self.words.store(CLUSTER_TIME_OFFSET_MS, self._time.offset_ms)
        return now_ms

    def _draw_nonce(self) -> bytes:
        return self._draw(NONCE_BYTES)

    def begin(self) -> None:
        """Reads what a sealed node knows, and publishes it."""
        state = self.replica.state
        self._time = ClusterTime(state.time_ms, wall_ms=self.clock.wall_ms(), boot_ms=self.clock.boot_ms())
        self.words.store(CLUSTER_TIME_OFFSET_MS, self._time.offset_ms)
        self.words.store(WATERMARK, state.index)
        reader = self.replica.open()
        try:
            self.unsealing.must_migrate(reader)          # a seal that nothing here opens is told at once
        finally:
            reader.close()
        self.publish()

    def publish(self, **changed: object) -> None:
        """Reads anew what the store says of its seal, and tells every process."""
        reader = self.replica.open()
        try:
            sealed_by, recovered_by = seal_config(reader), recovery_config(reader)
            migrating = self.unsealing.is_migrating(reader)
        finally:
            reader.close()
        if sealed_by is not None:
            changed = {"seal_type": sealed_by.type.value, "recovery_seal": recovered_by is not None, **changed}
        shares = recovered_by or sealed_by or self.unsealing.joining
        self._facts = replace(
            self._facts, initialized=sealed_by is not None, shares=shares.secret_shares if shares else 0,
            threshold=shares.secret_threshold if shares else 0, unseal_progress=self.unsealing.progress,
            unseal_nonce=self.unsealing.nonce, migrating=migrating, **changed)
        self.attempts.facts = self._facts
        self.workers.publish(self._facts)

    async def answer(self, request: Request) -> Served:
        """A request of the node's own."""
        served = self.serve(request)
        return served if isinstance(served, Reply) else await served

    def submit(self, request: Request, to: Place, why: Why, memo: Memo, answer: Promise) -> None:
        """A request that a worker could not finish. `answer` is told UnavailableError, and nothing else for a request's fault."""
        if to is not Place.MAIN and self._committer is not None and (self.cluster is None or not self.cluster.confirms_reads):
            self._committer.run(request, answer, memo)   # what nearly all come to, with nothing in between
            return
        found = self._to_lane(request, why, memo) if to is not Place.MAIN else asyncio.get_running_loop().create_task(
            self.serving.resume(request, memo))
        self._beside.add(found)
        found.add_done_callback(self._beside.discard)
        _pass_on(found, answer)

    async def forward(self, request: Request, to: Place, why: Why, memo: Memo) -> Served:
        """To the lane. Never raises for a request's fault."""
        try:
            return await self._to_lane(request, why, memo)
        except UnavailableError as error:
            return envelope.failed(error)

    def run_for(self, request: Request, why: Why, origin: Origin) -> "asyncio.Future[Served]":
        """A request that another node forwarded, at the active one. What was sent here for want of a lease may be no write at all. The
        result raises FenceLost: it did not happen here, and will not."""
        committer = self._committer
        if committer is None:
            return _failed(FenceLost("this node is not active"))
        if self.access.router.find_local(request.method, request.path) is not None:
            return _done(envelope.failed(BadRequest(LOCAL_ONLY)))   # it would seal this node, say, not that one
        if origin.id.node != self._facts.node_id:
            request = replace(request, client=replace(request.client, forwarded_from=origin.id.node))
        if why in READS_ELSEWHERE:

            async def to_lane(request: Request, to: Place, why: Why, memo: Memo) -> Served:
                return await self._on_lane(committer, request, memo, origin)

            return asyncio.get_running_loop().create_task(self.serving.resume(request, NOTHING_YET, to_lane))
        return self._on_lane(committer, request, NOTHING_YET, origin)

    def _on_lane(self, committer: Committer, request: Request, memo: Memo, origin: Origin | None = None) -> "asyncio.Future[Served]":
        cluster = self.cluster
        if cluster is None or not cluster.confirms_reads:
            return committer.submit(request, memo, origin)

        async def after_round() -> Served:
            await cluster.read_may_begin()               # without trust in clocks, being active has to be confirmed each time
            return await committer.submit(request, memo, origin)

        return asyncio.get_running_loop().create_task(after_round())

    def _to_lane(self, request: Request, why: Why, memo: Memo) -> "asyncio.Future[Served]":
        if self._committer is not None:
            return self._on_lane(self._committer, request, memo)
        if self.cluster is not None and not self._facts.sealed:
            if why is Why.NO_LEASE and self.cluster.confirms_reads:
                return asyncio.get_running_loop().create_task(self._after_round(self.cluster, request, memo))
            elsewhere = redirect.instead(request, self._facts)
            return self.cluster.forward(request, why) if elsewhere is None else _done(elsewhere)
        return _failed(UnavailableError("Vault is sealed"))

    async def _after_round(self, cluster: Cluster, request: Request, memo: Memo) -> Served:
        """`consistency = "strict"`: a read that wants no lease but a round. Raises UnavailableError: there is no active node."""
        await cluster.read_may_begin()
        return await self.serving.resume(request, memo, confirmed=True)

    def _orphaned(self, work: Work, answer: Promise, error: Exception) -> None:
        """Work that did not happen here. A client's own goes to the active node, with nothing of what was computed for it here."""
        if isinstance(error, Full):
            tell_unwritable("the log cannot be written", error)
        if answer.done():
            return
        if self.cluster is None:
            sealed = isinstance(error, FenceLost)
            answer.set_exception(UnavailableError("Vault is sealed" if sealed else f"the storage cannot write: {error}"))
        elif isinstance(error, Full) and not self.cluster.gives_way(str(error)):
            answer.set_exception(UnavailableError(f"the storage cannot write: {error}"))
        elif work.origin is not None:
            answer.set_exception(FenceLost("this node is not active any more"))
        elif isinstance(work.task, Request) and not self._facts.sealed:
            elsewhere = redirect.instead(work.task, self._facts)
            _pass_on(self.cluster.forward(work.task, Why.WRITE) if elsewhere is None else _done(elsewhere), answer)
        else:
            answer.set_exception(UnavailableError("Vault is sealed" if self._facts.sealed else "another node is active"))

    async def _carry_out(self, request: Request, outcome: Commit | Outside | Do) -> Served:
        """An operation about this node that writes nothing: audit, effect, audit, answer."""
        if isinstance(outcome, Outside) or outcome.changes:
            raise InvariantError("only the lane can carry out a write")
        try:
            self._audit([(entry.device, entry.request) for entry in outcome.audit])
            if isinstance(outcome, Do):
                served = await self._perform(outcome.effect)
            else:
                served = outcome.reply
                for effect in outcome.effects:
                    await self._perform(effect)
            if not self._facts.sealed:                   # sealed meanwhile: the devices have gone with the keys
                self._audit([(entry.device, entry.response) for entry in outcome.audit])
        except (AuditError, BadRequest, UnavailableError) as error:
            return envelope.failed(error)
        return served

    def _audit(self, lines: list[tuple[Device, bytes]]) -> None:
        if lines:
            self.devices.write(lines)

    async def initialise(self, new: Callable[[Rng, Millis], NewCluster], *, root_token: str = "") -> tuple[NewCluster, Secret]:
        """The first batch of a cluster: its keys, and what it starts with. Gives the shares and the root token, which `root_token` names
        on a node that is only tried out."""
        async with self._changing:
            if self._facts.initialized:
                raise BadRequest("Vault is already initialized")
            rng = Rng(self.draw_seed)
            now_ms = self._now()
            made = new(rng, now_ms)
            barrier = AesGcmBarrier(made.opened.keyring)
            reader = self.replica.open()
            try:
                txn = Txn(Run(reader, barrier, Place.ACTIVE, Derived(DERIVED_AT_INIT), Reads()))
                first_token = bootstrap.write_first_state(txn, rng, now_ms, root_token=root_token)
                if self.cluster is not None:
                    self.cluster.write_first_state(txn)
                    await self.cluster.begin_alone(txn)
            finally:
                reader.close()
            batch = WriteBatch(index=Index(1), time_ms=now_ms, changes={
                key: None if value is None else barrier.encrypt(key, value, nonce=self._draw_nonce())
                for key, value in {**made.stored, **txn.changes()}.items()})
            fence = await self.log.lock()
            await self.log.append([batch], fence)
            await asyncio.to_thread(self.replica.apply, [batch])
            if self.cluster is not None:
                await self.cluster.end_alone()
            else:
                await self.log.unlock(fence, None)
            self.words.store(WATERMARK, batch.index)
            self.publish()
            return made, first_token

    async def offer_share(self, share: Secret, *, migrate: bool = False) -> None:
        """Takes a share; takes part with the last one. Raises BadRequest: not initialised, or the shares are wrong; UnavailableError."""
        config = self.unsealing.joining
        if config is None:
            await self._unseal(lambda reader: self.unsealing.offer(share, reader, migrate=migrate))
            return
        async with self._changing:
            seal = self.unsealing.collect(share, config)
            self.publish()
        if seal is not None and self.joiner is not None:
            await self.joiner.answer_with(seal)

    async def unseal_with(self, seal: Seal) -> None:
        """Takes part with the keys that the seal opens."""
        await self._unseal(lambda reader: open_with(seal, reader))

    def join_pending(self, config: SealConfig | None) -> None:
        """The shares of a cluster that this node is to join are wanted; None: no more."""
        self.unsealing.joining = config
        self.publish()

    @property
    def is_initialized(self) -> bool:
        return self._facts.initialized

    async def unseal_itself(self) -> None:
        """Goes active by the seal of the configuration; stays sealed where the store has another one still."""
        if self._facts.migrating:
            self._logger.warn("core.seal_migration_pending", seal=self._facts.seal_type, hint="operator unseal -migrate")
            return
        if self._facts.removed:                          # it stays sealed, and answers so that operators can see why
            self._logger.error("raft.removed", node=self._facts.node_id, hint="to join again, it needs an empty folder")
            return
        await self._unseal(self.unsealing.open_itself)

    async def forget_shares(self) -> None:
        """Raises BadRequest where there are none to forget."""
        async with self._changing:
            if not self._facts.sealed:
                raise BadRequest("vault is unsealed")
            self.unsealing.reset()
            self.publish()

    async def _unseal(self, find: Callable[[Reader], Opened | None]) -> None:
        async with self._changing:
            if not self._facts.sealed:
                return
            reader = self.replica.open()
            try:
                opened = find(reader)
            finally:
                reader.close()
                self.publish()
            if opened is not None:
                await self._open(opened)

    async def _open(self, opened: Opened) -> None:
        """Unsealed: active at once where this node is alone, else a standby."""
        self.keys_changed(opened)
        if self.cluster is None:
            self.words.store(LEASE_UNTIL_BOOT_MS, FOREVER_BOOT_MS)
            self.go_active(await self.log.lock())
        else:
            self._show_unsealed(is_active=False)
            try:
                await self.cluster.start(opened)
            except BaseException:                        # or it would be unsealed for whoever asks, serve nobody, and take no share
                await self.cluster.stop()
                self._forget_keys()
                raise
        self._logger.info("core.unsealed", cluster=self._facts.cluster_id, index=self.words.load(WATERMARK))

    def go_active(self, fence: Fence) -> None:
        """The fence is held, and the replica has everything that was ever appended."""
        opened = self._opened
        assert opened is not None, "only an unsealed node goes active"
        reader = self.replica.open()
        try:
            usage = USAGE.get(Txn(Run(reader, AesGcmBarrier(opened.keyring), Place.MAIN, Derived(DERIVED_AT_INIT), Reads())))
        finally:
            reader.close()
        boot_ms = self.clock.boot_ms()
        floor_ms = max(self.replica.state.time_ms, self._time.last_ms, Millis(boot_ms + self.words.load(CLUSTER_TIME_OFFSET_MS)))
        self._time = ClusterTime(floor_ms, wall_ms=self.clock.wall_ms(), boot_ms=boot_ms)
        lane = Lane(self.access, opened, usage, derived=Derived(DERIVED_ENTRIES_MAX), nonce=self._draw_nonce, time_ms=self._time.last_ms)
        self._committer = Committer(lane, self.log, fence, self.replica, self.words, self.clock, self._time, self.devices,
                                    lambda: self._facts, in_thread, self._perform, self.keys_changed, self.draw_seed, self._applied,
                                    self._orphaned, confirmed=self.cluster is not None and self.cluster.confirms_reads)
        self._timers = Timers(self._committer, self.attempts, self._time, self._now, self._logger.named("expiration"))
        self._timers.start()
        self._show_unsealed(is_active=True)
        if self._facts.migrating:
            self._committer.submit(Internal(self._change_seal)).add_done_callback(self._seal_changed)

    def _change_seal(self, txn: Txn, attempt: Attempt) -> None:
        for key, value in self.unsealing.changes(txn.get, attempt.rng.bytes).items():
            if value is None:
                txn.delete(key)
            else:
                txn.put(key, value)

    def _seal_changed(self, done: "asyncio.Future[Served]") -> None:
        if not done.cancelled() and done.exception() is None:
            self.publish()
            self._logger.info("core.seal_changed", seal=self._facts.seal_type)

    async def rest(self) -> None:
        """The lane takes nothing more until `wake` or `take_new_state`. Raises UnavailableError: this node is not active."""
        if self._committer is None:
            raise UnavailableError("this node is not active")
        await self._committer.rest()

    def wake(self) -> None:
        if self._committer is not None:
            self._committer.wake()

    async def take_new_state(self, fence: Fence) -> None:
        """The replica holds another state than the lane knew: a new lane goes on from there, with what was asked for meanwhile."""
        before, timers = self._committer, self._timers
        if before is None:
            return                                       # another node is active by now
        self.go_active(fence)
        assert self._committer is not None, "it has just been made"
        self._committer.take_place_of(before)
        if timers is not None:
            await timers.stop()                          # what they have begun waited for a lane, and ends on the new one

    def step_down(self) -> None:
        """Another node is to be active. Without any, nothing happens, and the answer is the same, as in Vault."""
        if self.cluster is not None:
            self.cluster.step_down()

    async def drain(self) -> None:
        """The lane takes no more: what comes is given back. Returns when all that it took is durable and answered, or calls out."""
        if self._committer is not None:
            await self._committer.drain()

    def close_lane(self) -> None:
        """The fence has gone: from now on nothing runs here."""
        self._ended, self._committer = self._committer, None
        if self._ended is not None:
            self._ended.close()

    async def go_standby(self) -> None:
        """After `close_lane`: returns when the fate of all that was under way is known, and the replica is nobody's."""
        timers, self._timers = self._timers, None
        if self._ended is not None:
            await self._ended.end()
        if timers is not None:
            await timers.stop()

    def submit_own(self, task: Task) -> None:
        """Work of the node's own, if it is active; whether it is done is seen in the log."""
        if self._committer is not None:
            self._committer.submit(task).add_done_callback(lambda done: done.cancelled() or done.exception())

    async def do_own(self, task: Task) -> None:
        """As `submit_own`; returns when V has passed it. Raises UnavailableError: it cannot be done here, or nobody can tell."""
        if self._committer is None:
            raise UnavailableError("another node is active")
        await self._committer.submit(task)

    def hold_is_certain(self) -> None:
        """Until the time that the lease word names: what waited for that runs."""
        if self._committer is not None:
            self._committer.hold_is_certain()

    def cluster_now(self) -> Millis:
        """Cluster time, at the active node."""
        return self._now()

    def pass_to(self, watermark: Index) -> None:
        """V has risen: what waits for it leaves."""
        self.words.store(WATERMARK, watermark)
        for committer in (self._ended, self._committer):
            if committer is not None:
                committer.pass_to(watermark)

    def _applied(self, index: Index) -> None:
        if self.cluster is None:
            self.pass_to(index)
        else:
            self.cluster.applied(index)

    def _show_unsealed(self, *, is_active: bool) -> None:
        info = self.attempts.read(lambda txn: CLUSTER.get(txn, INFO))
        assert info is not None, "an initialised cluster has a name"
        self.publish(sealed=False, is_active=is_active, active_since_ms=self._time.last_ms if is_active else None,
                     cluster_name=self._configured_name or info.name, cluster_id=info.id)

    def keys_changed(self, opened: Opened) -> None:
        """The keys that this node reads and writes with from now on."""
        self._opened = opened
        self.attempts.use_keys(opened.keyring)
        self.workers.give_keys(opened.keyring)

    async def seal_and_reopen(self, before: Callable[[], Awaitable[None]]) -> None:
        """The keys do not fit what is stored any more. From now on this node is sealed for whoever asks, and once `before` has returned it
        is; a seal that opens by itself is asked whether it opens what is there now."""
        await self.seal(before)
        if self.unsealing.opens_itself:
            try:
                await self.unseal_itself()
            except HoldfastError as error:
                self._logger.error("core.stays_sealed", why=str(error))

    async def seal(self, before: Callable[[], Awaitable[None]] | None = None) -> None:
        """Forgets the keys. What had begun ends first; what comes now is refused."""
        async with self._changing:
            if self._facts.sealed:
                return
            self.words.store(LEASE_UNTIL_BOOT_MS, 0)
            if before is not None:
                self.publish(sealed=True)
                await before()
            if self.cluster is not None:
                await self.cluster.stop()
            committer, self._committer = self._committer, None
            if committer is not None:
                self._ended = committer                  # V goes on to reach it
                committer.close()                        # what waits for the lane is given back, or the timers would wait for it
            if self._timers is not None:
                await self._timers.stop()
            if committer is not None:
                await committer.stop()
                await self.log.unlock(committer.fence, None)
            if self._ended is not None:
                self._ended.refuse_rest(UnavailableError("Vault is sealed"))
            self._forget_keys()
            self._logger.info("core.sealed")

    def _forget_keys(self) -> None:
        self._opened = self._ended = None
        self.workers.give_keys(None)
        self.attempts.use_keys(None)
        self.publish(sealed=True, is_active=False, performance_standby=False, active_since_ms=None, cluster_id="")


def _done(reply: Reply) -> "asyncio.Future[Served]":
    answer: asyncio.Future[Served] = asyncio.get_running_loop().create_future()
    answer.set_result(reply)
    return answer


def _failed(error: Exception) -> "asyncio.Future[Served]":
    answer: asyncio.Future[Served] = asyncio.get_running_loop().create_future()
    answer.set_exception(error)
    return answer


def _pass_on(found: "asyncio.Future[Served]", to: Promise) -> None:
    """What comes of the one is what comes of the other."""

    def done(found: "asyncio.Future[Served]") -> None:
        if to.done():
            return
        error = found.exception()
        if error is not None:
            to.set_exception(error)
        else:
            to.set_result(found.result())

    found.add_done_callback(done)
