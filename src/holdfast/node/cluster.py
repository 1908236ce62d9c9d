"""The driver of `ha.Machine`: what happens on links, in the log and on the lane goes in as events; its effects are carried out here.

Invariants: (1) effects are begun in the order in which the machine gave them, each before the next event goes in; (2) the machine is told
what an effect ended in, never what it only began; (3) the lane and the follower never apply at the same time.
"""
import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import assert_never

from msgspec.structs import replace

from holdfast.cluster import Hello, Identity, Incoming, Port, new_identity
from holdfast.core import envelope, redirect
from holdfast.core.lane import Internal
from holdfast.core.once import newest_incarnation
from holdfast.crypto import KEYRING, Opened, Secret
from holdfast.engine import Attempt, Reply, Request, Stream, Txn
from holdfast.errors import BadRequest, HoldfastError, IntegrityError, UnavailableError
from holdfast.ha import effect as do
from holdfast.ha import event as saw
from holdfast.ha.advertisement import Advertisement, advertise, newest
from holdfast.ha.effect import State
from holdfast.ha.event import Channel
from holdfast.ha.gate import CLUSTER_TIME_OFFSET_MS, LEASE_UNTIL_BOOT_MS
from holdfast.ha.machine import Machine
from holdfast.ha.message import BOUNDS, Echo, EchoReply, ForwardStream, Message, Peer
from holdfast.ha.watermark import NEVER
from holdfast.http.reply import RAFT_NODE_ID
from holdfast.ids import Index, Millis, NodeId
from holdfast.limits import JOIN_STATE_S
from holdfast.node.background import Background
from holdfast.node.cluster_gauges import LifeMetrics
from holdfast.node.follow import Follower, Keys, KeysLost, Replica
from holdfast.node.ha_link import HaLink, Taken, send_stream
from holdfast.node.ha_links import HaLinks
from holdfast.node.main import Main, in_thread
from holdfast.node.raft_links import RAFT_BOUNDS, RAFT_IDENTITY, RaftLinks
from holdfast.node.serving import Served, close_stream
from holdfast.node.standing import Named, Standing, url_of
from holdfast.node.tickets import Tickets
from holdfast.replica import Abandoned, Why
from holdfast.storage import Fence, FenceLost, Snapshot, StateCopy, Uncertain, Unsettled
from holdfast.storage.raft import TIMING, RaftLog
from holdfast.telemetry.log import Logger

PORT_BOUNDS = {**BOUNDS, **RAFT_BOUNDS}
"""Kinds that the cluster port is told of."""
APART_BYTES = 5                                      # of a draw that nobody else makes: 18 minutes, in incarnations
GIVE_WAY_EVERY_MS = 10_000                           # where all disks are full, the fence does not go round and round
GIVING_WAY_MS = 1_000                                # what cannot be written in that time is for the successor
LOOK_AGAIN_MS = 1_000                                # at least so often the machine is asked what is due, whatever it said
VOTES_ON_MS = 10_000                                 # a node that was removed, after the last question: silent links are lost in 6 s
VOTES_ON_MAX_MS = 60_000                             # … whatever happens: a majority that is not there by then does not come by itself
LEAVE_WITHIN_S = 6.0                                 # for draining (DRAIN_MAX_MS), and what was under way to be settled
TAKEN_WITHIN_MS = 5_000                              # a state of another cluster, once a majority has it; who is later must join again
GONE_AFTER_MS = 1_000                                # a member that the leader hears nothing of; heartbeats are ten times as frequent
ARRIVED_POLL_S = 0.02                                # … and so often a node that joins looks whether it has everything
NEEDS_EMPTY_FOLDER = "to join again, it needs an empty folder"


class ClusterSettings(Named, frozen=True, kw_only=True):
    """What this node is called, and where it is found: as others reach it, and where it listens (`host:port`)."""

    listen_address: str
    is_strict: bool = False                          # consistency = "strict": a round for every read


class Clustering:
    """One node among others. `new_port` gives a port that introduces this node; `new_incarnation` a number above all that it gave before,
    at least so high; `new_machine` the machine of this run of the process, which has that number."""

    def __init__(self, main: Main, log: RaftLog, replica: Replica, settings: ClusterSettings, *, draw: Callable[[int], bytes],
                 new_incarnation: Callable[[int], int], new_port: Callable[[Callable[[], Hello]], Port],
                 new_machine: Callable[[int], Machine], logger: Logger) -> None:
        self._main, self._log, self.settings, self._logger = main, log, settings, logger
        self._draw, self._new_incarnation, self._new_port, self._new_machine = draw, new_incarnation, new_port, new_machine
        self._incarnation = new_incarnation(main.clock.wall_ms() * 1_000_000)
        self._replica, self._words, self._clock = replica, main.words, main.clock
        self._machine: Machine | None = None             # None: sealed
        self._kept: Machine | None = None                # it outlives a seal: ids and serials of one incarnation are never used twice
        self._port: Port
        self._raft: RaftLinks | None = None
        self._gave_way_ms = Millis(-GIVE_WAY_EVERY_MS)
        self._life = LifeMetrics(main.metrics, main.clock.boot_ms)
        self._keys: Keys
        self._standing: Standing
        self._follower: Follower | None = None
        self._following: asyncio.Task[None] | None = None
        self._installing = asyncio.Lock()                # a state that is put back is installed by the lane's node itself
        self._fence: Fence | None = None
        self._held_until = Millis(0)
        self._contending: asyncio.Task[None] | None = None
        self._links = HaLinks(self, lambda: self._port, logger)
        self._seen: Advertisement | None = None
        self._to_active: HaLink | None = None            # of a standby: it tells over it how it stands
        self._is_removed = False                         # … and says so, and will seal itself
        self._tickets = Tickets(lambda ticket: self._step(saw.Cancelled(ticket=ticket)))
        self._incoming: Incoming | None = None           # the stream that is being told of
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = Millis(0)
        self._is_timing = False                          # the timer is looked at in the loop's next turn
        self._stepping = False
        self._events: list[saw.Event] = []
        self._left: asyncio.Event = asyncio.Event()
        self._background = Background()

    # What Main asks for

    async def start(self, opened: Opened) -> None:
        """Takes part, as a standby at first. Raises BadRequest: it was removed; UnavailableError: its port is taken, or a state that
        is missing does not come; IntegrityError. Then `stop` puts back what it had begun."""
        if self._log.is_removed:
            raise BadRequest(f"this node was removed from its cluster: {NEEDS_EMPTY_FOLDER}")
        self._keys = Keys(opened, self._main.keys_changed)
        identity = self._main.attempts.read(lambda txn: RAFT_IDENTITY.get(txn, ""))
        if identity is None:
            raise IntegrityError("the store has no identity for the members of its cluster")
        if not self._log.is_whole:                       # it was ended while it joined, say: what went before it is not all here
            await self.receive_state(identity, within_s=JOIN_STATE_S)
        if self._kept is None:
            self._come_after_others_of_this_name()
        await self._take_part(identity)
        self._left.clear()
        self._machine = self._kept = self._kept or self._new_machine(self._incarnation)
        self._standing = Standing(self._main, self._log, self.settings, lambda: self._replica.index, self._logger)
        self._follow()
        self._step(saw.Unsealed(applied=self._replica.index))
        self._look_for_the_active()

    def _come_after_others_of_this_name(self) -> None:
        """A node that joins again with an empty folder has only its clock to tell it from the one before. Where that one's was ahead, what
        this one forwards would be refused, as if it were of the earlier one."""
        newest = self._main.attempts.read(lambda txn: newest_incarnation(txn, self.settings.node))
        if newest >= self._incarnation:                  # those after it that left no record counted on from it: not one of their numbers
            self._incarnation = self._new_incarnation(newest + 1 + int.from_bytes(self._draw(APART_BYTES)))

    async def stop(self) -> None:
        """Takes part no more; an active node gives the fence on first."""
        if self._machine is not None:
            self._step(saw.SealAsked())
            try:
                async with asyncio.timeout(LEAVE_WITHIN_S):
                    await self._left.wait()
            except TimeoutError:                         # an append that nobody can settle now: a disk that is full, no majority
                self._logger.warn("ha.leaves_unsettled")
                await self._log.stop()
                await self._left.wait()
            self._machine = None
        await self._stop_following()
        self._background.cancel()
        self._links.stop_dialling()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._contending, self._seen = None, None
        await self._leave()

    @property
    def confirms_reads(self) -> bool:
        return self.settings.is_strict

    def read_may_begin(self) -> "asyncio.Future[Served]":
        answer, ticket = self._new_ticket()
        if not answer.done():
            self._step(saw.ReadAsked(ticket=ticket))
        return answer

    def forward(self, request: Request, why: Why) -> "asyncio.Future[Served]":
        answer, ticket = self._new_ticket()
        if not answer.done():
            answer.add_done_callback(partial(self._forwarded, self._clock.boot_ms()))
        if self._is_removed and self._to_active is None:     # who is active next, it does not learn: nothing comes of holding this
            self._refuse(do.Refuse(ticket=ticket, why="this node was removed from its cluster", unsent=request))
        elif not answer.done():
            self._step(saw.Submitted(ticket=ticket, request=request, why=why, reply_key=Secret(self._draw(32))))
        return answer

    def _forwarded(self, began: Millis, answer: "asyncio.Future[Served]") -> None:
        self._life.forwarded(began, failed=answer.cancelled() or answer.exception() is not None)

    def _new_ticket(self) -> "tuple[asyncio.Future[Served], int]":
        """What is answered under it; at once, if this node is sealed."""
        answer, ticket = self._tickets.issue()
        if self._machine is None:
            self._tickets.fail(ticket, UnavailableError("Vault is sealed"))
        return answer, ticket

    def applied(self, index: Index) -> None:
        self._log.note_applied(index)
        self._step(saw.AppliedHere(index=index))

    def write_first_state(self, txn: Txn) -> None:
        """What the first batch of a cluster holds for its members."""
        RAFT_IDENTITY.put(txn, "", self._identity("raft"))

    async def begin_alone(self, txn: Txn) -> None:
        """A cluster of this node alone, for the time of its first batch, which `txn` has."""
        identity = RAFT_IDENTITY.get(txn, "")
        assert identity is not None, "write_first_state comes before"
        self._log.bootstrap(self.settings.cluster_address)
        await self._take_part(identity)

    async def end_alone(self) -> None:
        await self._leave()

    def step_down(self) -> None:
        """Gives the fence on, if this node has it."""
        self._step(saw.StepDownAsked())

    def gives_way(self, why: str) -> bool:
        """As `step_down`, soon: where a disk is full, say, others may have room. False: there are no others, or it did so just now."""
        now = self._main.clock.boot_ms()
        passed_ms = now - self._gave_way_ms
        if self._machine is None or self._machine.state is not State.ACTIVE or passed_ms < GIVING_WAY_MS:
            return True                                  # it has done so, or is about to
        if passed_ms < GIVE_WAY_EVERY_MS or not any(each.voter and each.id != self.settings.node for each in self._log.status.members):
            return False
        self._gave_way_ms = now
        self._logger.warn("ha.gives_way", why=why)
        asyncio.get_running_loop().call_soon(self.step_down)
        return True

    def audit_is_broken(self, broken: bool) -> None:
        self._step(saw.AuditBroken(broken=broken))

    async def receive_state(self, identity: Identity, *, within_s: float) -> None:
        """Follows the log as a new member until the state has the cluster's keys, and all that was written before it became one: also what
        an earlier node of its name has left there. Raises UnavailableError."""
        await self._take_part(identity)
        follower = Follower(self._log, self._replica, None, in_thread, self._log.note_applied)
        following = asyncio.get_running_loop().create_task(follower.run())
        following.add_done_callback(self._background.ended)
        before: Index | None = None
        try:
            async with asyncio.timeout(within_s):
                while before is None or self._replica.index < before or not self._has_keys():
                    await self._log.change(ARRIVED_POLL_S)
                    if before is None and self._log.raft_id in self._log.members.now:
                        before = self._log.durable_index
        except TimeoutError as error:
            raise UnavailableError(f"the cluster's state has not arrived within {within_s:g} s") from error
        finally:
            follower.stop()
            await asyncio.wait({following})
            await self._leave()
            self._main.publish()

    def _has_keys(self) -> bool:
        reader = self._replica.open()
        try:
            return reader.get(KEYRING) is not None
        finally:
            reader.close()

    async def put_back(self, numbered: Callable[[], Awaitable[StateCopy]]) -> Index:
        """Another state in the place of everything, at every member; the lane rests meanwhile. Gives its index. `numbered` is
        asked for the state once no batch comes any more, so that none has a later index. Returns when nobody reads anything older;
        or, where the state is under other keys, when this node is about to seal itself, as the others do. Raises UnavailableError: it was
        not done, or nobody can tell, or this node cannot tell when that is; and what `numbered` raises."""
        await self._main.rest()
        try:
            copy = await numbered()
            try:
                await self._log.install(copy.index, copy.generation, _chunks(copy))
            except (Uncertain, FenceLost) as error:
                await self._check_put_back(copy.index, error)
            async with self._installing:
                if self._machine is None or self._follower is not None:      # it comes as to all others
                    raise UnavailableError("the state was put back, but this node lost its place before all others had it")
                await self._install_own()
        except KeysLost as lost:
            self._background.begin(self._seal_without_keys(lost))   # the lane, which knows the keys of before, rests until then
            return copy.index
        except BaseException:
            self._main.wake()
            raise
        self.applied(copy.index)
        assert self._seen is not None, "who is active has said so"
        # The state that was put back names an active node of its own time. And once this batch is everywhere, so is that state.
        await self._main.do_own(Internal(partial(_advertise, self._uuid(), self._seen)))
        return copy.index

    async def _check_put_back(self, index: Index, error: Uncertain | FenceLost) -> None:
        """Raises UnavailableError."""
        try:
            if isinstance(error, Uncertain) and await self._log.fate(index):
                return
        except Unsettled as unknown:
            raise UnavailableError(f"whether the state was put back is not known: {unknown}") from unknown
        raise UnavailableError(f"the state was not put back: {error}") from error

    async def _install_own(self) -> None:
        """What all others get by following. Raises KeysLost, as it does there."""
        async for found in self._log.follow_groups(self._replica.index):
            if isinstance(found, Snapshot):
                await self._replica.install(found)
                break
        self._main.attempts.derived.drop()
        reader = self._replica.open()
        try:
            self._keys.follow(reader)
        finally:
            reader.close()
        if self._fence is not None:
            await self._main.take_new_state(self._fence)

    async def _seal_without_keys(self, why: KeysLost) -> None:
        """Vault does the same: the shares, or the seal, of the cluster that the state comes from open it."""
        self._logger.error("core.keys_lost", why=str(why), hint="unseal with the keys of the cluster that the state comes from")
        await self._main.seal_and_reopen(self._until_others_have_gone)

    async def _until_others_have_gone(self) -> None:
        """Who has the state knows its members by another identity than before. So who leads stays last: whoever still lacks the state, or
        does not know yet that it counts, would have nobody left to learn it from."""
        until = self._clock.boot_ms() + TAKEN_WITHIN_MS
        while (now := self._clock.boot_ms()) < until and (status := self._log.status).is_leader:
            if all(peer.last_contact_boot_ms + GONE_AFTER_MS < now for peer in status.peers):
                return
            await self._log.change(LOOK_AGAIN_MS / 1000)

    # Raft

    async def _take_part(self, identity: Identity) -> None:
        self._log.note_applied(self._replica.index)
        self._port = self._new_port(self._introduce)
        try:
            await self._port.listen(self.settings.listen_address)
        except OSError as error:
            raise UnavailableError(f"the cluster port {self.settings.listen_address} cannot be had: {error.strerror or error}") from error
        self._raft = RaftLinks(self._port, self._log, identity, self._logger, self.settings.cluster_address)
        self._raft.open()
        await self._log.start(self._raft, on_change=self._log_changed, address=self.settings.cluster_address)
        self._raft.members_changed()

    async def _leave(self) -> None:
        raft, self._raft = self._raft, None
        if raft is not None:
            await self._log.stop()
            raft.close()
            await self._port.close()

    def _introduce(self) -> Hello:
        return Hello(node=self.settings.node, incarnation=self._incarnation, cluster=self._main.facts.cluster_id,
                     wall_ms=self._clock.wall_ms())

    def _log_changed(self) -> None:
        if self._raft is not None:
            self._raft.members_changed()
            if self._machine is not None:
                self._standing.publish()
                if self._log.is_removed and not self._is_removed:
                    self._is_removed = True
                    self._logger.error("raft.removed", node=self.settings.node, hint=NEEDS_EMPTY_FOLDER)
                    self._background.begin(self._seal_once_removed())

    async def _seal_once_removed(self) -> None:
        """Until the others know durably that this node has no vote any more, whoever of them starts again asks for it, and learns by the
        answer that it is needed no more. Nobody tells this node when that is so: it answers until nobody has asked for long enough."""
        began = self._clock.boot_ms()
        while (left_ms := min(max(began, self._log.heard_boot_ms) + VOTES_ON_MS, began + VOTES_ON_MAX_MS) - self._clock.boot_ms()) > 0:
            await self._log.change(left_ms / 1000)
        await self._main.seal()

    # The follower

    def _follow(self) -> None:
        self._follower = Follower(self._log, self._replica, self._keys, in_thread, self.applied, self._look_for_the_active)
        self._following = asyncio.get_running_loop().create_task(self._follow_to_the_end(self._follower))
        self._following.add_done_callback(self._background.ended)

    async def _follow_to_the_end(self, follower: Follower) -> None:
        try:
            await follower.run()
        except KeysLost as lost:
            self._background.begin(self._seal_without_keys(lost))

    async def _stop_following(self) -> None:
        follower, following = self._follower, self._following
        self._follower = self._following = None
        if follower is not None and following is not None:
            follower.stop()
            await asyncio.wait({following})

    def _look_for_the_active(self, said_by_batch: bool = False) -> None:
        try:
            found = self._main.attempts.read(lambda txn: txn.derive(newest))
        except Abandoned:
            return                                       # under a key that comes with a later batch, which is looked at again
        if not said_by_batch and self._seen is not None and (found is None or found.term < self._seen.term):
            return                                       # of a state that was put back; the batch that follows it says who is active now
        if found != self._seen:
            self._seen = found
            self._step(saw.ActiveSeen(advertisement=found))
            self._show()

    # Events in, effects out

    def _step(self, event: saw.Event) -> None:
        self._events.append(event)
        if self._stepping:
            return                                       # an effect that is being begun saw it: after the effects before it
        self._stepping = True
        try:
            while self._events and self._machine is not None:
                self._machine.step(self._events.pop(0), self._clock.boot_ms())
                self._perform_all()
        finally:
            self._stepping = False
        self._set_timer_soon()

    def _tick(self) -> None:
        self._timer = None
        if self._machine is None or self._stepping:
            return
        self._send_echo()
        self._stepping = True
        try:
            self._machine.tick(self._clock.boot_ms())
            self._perform_all()
        finally:
            self._stepping = False
        if self._events:
            self._step(self._events.pop(0))
        else:
            self._set_timer_soon()

    def _send_echo(self) -> None:
        if self._to_active is not None and (echo := self._standing.echo()) is not None:
            self._to_active.send(echo)

    def _perform_all(self) -> None:
        machine = self._machine
        while machine is not None and (effects := machine.take_effects()):
            for effect in effects:
                self._perform(effect)

    def _set_timer_soon(self) -> None:
        """Once in a turn of the loop, however many events it brings."""
        if not self._is_timing:
            self._is_timing = True
            asyncio.get_running_loop().call_soon(self._set_timer)

    def _set_timer(self) -> None:
        self._is_timing = False
        if self._machine is None:
            return
        due, now = min(self._machine.next_tick_boot_ms(), self._standing.next_tick or NEVER), self._clock.boot_ms()
        if self._timer is None or due < self._timer_due:     # one that comes too early only looks again
            if self._timer is not None:
                self._timer.cancel()
            self._timer_due = min(due, Millis(now + LOOK_AGAIN_MS))
            self._timer = asyncio.get_running_loop().call_later(max(0, self._timer_due - now) / 1000, self._tick)

    def _perform(self, effect: do.Effect) -> None:
        match effect:                                    # the first three are of each request
            case do.Send(node=node, channel=channel, message=message):
                link = self._links.find(node, channel)
                if link is not None:
                    link.send(message)
            case do.Run():
                self._run(effect)
            case do.Answer(ticket=ticket, reply=reply):
                self._answer(ticket, reply)
            case do.SetLease(until_boot_ms=until):
                self._words.store(LEASE_UNTIL_BOOT_MS, until)
                if until:
                    self._main.hold_is_certain()
            case do.SetWatermark(index=index):
                self._main.pass_to(index)
            case do.SetClusterTime(offset_ms=offset_ms):
                self._words.store(CLUSTER_TIME_OFFSET_MS, offset_ms)
            case do.Dial():
                self._links.dial(effect)
            case do.HangUp(node=node, channel=channel):
                self._links.hang_up(node, channel)
            case do.Campaign():
                if self._contending is None or self._contending.done():
                    self._contending = self._background.begin(self._contend())
            case do.StartLane(fence=fence):
                self._start_lane(fence)
            case do.DrainLane(fence=fence):
                self._background.begin(self._drain(fence))
            case do.StopLane(fence=fence):
                self._stop_lane(fence)
            case do.GiveUp(fence=fence, to=to):
                self._background.begin(self._log.unlock(fence, to))
            case do.AnswerStream(ticket=ticket, header=header):
                self._answer_stream(ticket, header)
            case do.Refuse():
                self._refuse(effect)
            case do.Enrol(peer=peer):
                self._background.begin(self._enrol(peer))
            case do.Changed(state=state):
                self._logger.info("ha.state", state=state.value)
                self._life.changed(state)
                self._show()
            case do.Confirm(number=number):
                self._background.begin(self._confirm(number))
            case do.LetRead(ticket=ticket):
                self._answer(ticket, Reply(status=204))
            case do.Left():
                self._left.set()
            case other:
                assert_never(other)

    def _show(self) -> None:
        machine, seen = self._machine, self._seen
        if machine is None:
            return
        is_active = machine.state in (State.ACTIVE, State.DRAINING)
        if seen is not None and seen.node == self.settings.node and not is_active:
            seen = None                                  # it was: it knows of nobody since, and clients would be sent back to it
        self._main.publish(
            is_active=is_active, performance_standby=machine.state is State.PERFORMANCE_STANDBY,
            active_api_address=self.settings.api_address if is_active else seen.api_address if seen else "",
            active_cluster_address=url_of(self.settings.cluster_address if is_active else seen.cluster_address if seen else ""),
            active_since_ms=seen.active_since_ms if seen else None)

    # The fence

    async def _contend(self) -> None:
        fence = await self._log.lock()
        self._fence, self._held_until = fence, self._log.hold_until_boot_ms(fence)
        self._step(saw.FenceHeld(fence=fence, index=self._log.durable_index, hold_until_boot_ms=self._held_until))
        while (until := await self._log.held(fence, self._held_until)) is not None:
            self._held_until = until
            self._step(saw.Held(term=fence.term, until_boot_ms=until, cluster_ms=self._main.cluster_now()))
            self._life.hold_renewed(Millis(until - TIMING.hold))
        self._fence = None
        self._contending = None                          # the machine may ask for the next one in the same step
        self._step(saw.FenceGone(term=fence.term))

    async def _confirm(self, number: int) -> None:
        fence = self._fence
        if fence is not None and await self._log.confirm(fence):
            self._step(saw.Confirmed(number=number))

    def _start_lane(self, fence: Fence) -> None:
        follower, self._follower, self._following = self._follower, None, None
        if follower is not None:
            follower.stop()                              # it has nothing left to apply: all that was ever appended is here
        own = self._identity("fw")
        self._main.go_active(fence)
        advertisement = Advertisement(
            node=self.settings.node, term=fence.term, api_address=self.settings.api_address, cluster_address=self.settings.cluster_address,
            active_since_ms=self._main.cluster_now(), name=own.name, key=own.key, certificate=own.certificate)
        self._seen = advertisement
        self._links.open(own, self._identity("ps"))
        self._standing.goes_active()
        self._main.submit_own(Internal(partial(_advertise, self._uuid(), advertisement)))

    async def _drain(self, fence: Fence) -> None:
        await self._main.drain()
        self._step(saw.LaneDrained(term=fence.term))

    def _stop_lane(self, fence: Fence) -> None:
        self._links.withdraw()
        self._main.close_lane()
        self._standing.goes_standby()
        self._background.begin(self._lane_stopped(fence, self._clock.boot_ms()))

    async def _lane_stopped(self, fence: Fence, began: Millis) -> None:
        await self._main.go_standby()
        self._life.lane_stopped(began)
        self._links.close("this node is not active any more")
        async with self._installing:
            if self._machine is not None:
                self._follow()
        self._step(saw.LaneStopped(term=fence.term))

    # Links

    def connected(self, link: HaLink) -> None:
        self._step(saw.Connected(peer=link.peer, channel=link.channel))
        link.begin()
        if link.channel is Channel.FORWARDING and not self._main.is_active:
            self._to_active = link
            self._standing.connected()
            self._set_timer_soon()

    def disconnected(self, node: NodeId, channel: Channel) -> None:
        self._step(saw.Disconnected(node=node, channel=channel))

    def forgotten(self, channel: Channel) -> None:
        """Nobody is told over it any more how this node stands: what would be due then would be so for ever."""
        if channel is Channel.FORWARDING and not self._main.is_active:
            self._to_active = None
            self._standing.disconnected()

    def received(self, link: HaLink, message: Message) -> None:
        match message:
            case Echo():
                if self._main.is_active:
                    link.send(self._standing.heard(link.peer, message))
            case EchoReply():
                self._standing.replied(message)
            case _:
                self._step(saw.Received(peer=link.peer, channel=link.channel, message=message))

    def stream_begins(self, link: HaLink, header: ForwardStream, incoming: Incoming) -> None:
        self._incoming = incoming
        self.received(link, header)
        if self._incoming is not None:                   # nobody took it
            self._incoming = None
            incoming.cancel("nobody waits for it")

    async def _enrol(self, peer: Peer) -> None:
        made = self._identity("ps")
        own_certificate = self._links.enrol(peer, made.certificate)
        self._step(saw.Enrolled(peer=peer, name=made.name, key=made.key, certificate=made.certificate, active_certificate=own_certificate))

    def _identity(self, purpose: str) -> Identity:
        return new_identity(f"{purpose}-{self._uuid()}", now_ms=self._clock.wall_ms(), draw=self._draw)

    def _uuid(self) -> str:
        return str(uuid.UUID(bytes=self._draw(16), version=4))

    # Requests

    def _run(self, run: do.Run) -> None:
        self._main.run_for(run.request, run.why, run.origin).add_done_callback(partial(self._ran, run))

    def _ran(self, run: do.Run, answer: "asyncio.Future[Served]") -> None:
        id = run.origin.id
        try:
            served = answer.result()
        except FenceLost:
            self._step(saw.RanNot(id=id, term=run.term))
            return
        except HoldfastError as error:
            served = envelope.failed(error)
        if self._main.facts.shows_node_id:
            served = replace(served, headers=(*served.headers, (RAFT_NODE_ID, self.settings.node)))
        if isinstance(served, Stream) and id.node != self.settings.node:
            self._background.begin(send_stream(self._links.find(id.node, Channel.FORWARDING), id, served, self._logger))
            self._step(saw.Ran(id=id, reply=None))
        else:
            self._step(saw.Ran(id=id, reply=envelope.passed_on(served) if isinstance(served, Reply) else served))

    def _answer(self, ticket: int | None, reply: Served) -> None:
        if not self._tickets.answer(ticket, reply) and isinstance(reply, Stream):
            self._background.begin(close_stream(reply))

    def _refuse(self, refused: do.Refuse) -> None:
        """To a node that leads, as far as this one hears, but cannot be reached to forward to, its client may find the way."""
        seen = self._seen
        if refused.unsent is not None and seen is not None and self._log.status.leader == seen.node != self.settings.node:
            self._tickets.answer(refused.ticket, redirect.to_active(refused.unsent, self._main.facts))
        else:
            self._tickets.fail(refused.ticket, UnavailableError(refused.why))

    def _answer_stream(self, ticket: int | None, header: ForwardStream) -> None:
        incoming, self._incoming = self._incoming, None
        if incoming is None:
            return
        stream = Stream(status=header.status, content_type=header.content_type, headers=header.headers, chunks=Taken(incoming))
        if not self._tickets.answer(ticket, stream):
            incoming.cancel("nobody waits for it")


async def _chunks(copy: StateCopy) -> AsyncIterator[bytes]:
    while chunk := await asyncio.to_thread(next, copy.chunks, b""):
        yield chunk


def _advertise(uuid_: str, advertisement: Advertisement, txn: Txn, attempt: Attempt) -> None:
    advertise(txn, uuid_, advertisement)


