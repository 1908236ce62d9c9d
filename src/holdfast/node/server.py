"""`holdfast server`: one node from its configuration to its end. The only place that knows every room."""
import asyncio
import contextlib
import os
import socket
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from holdfast._native import Words
from holdfast.config.settings import Settings, TcpListener, UnixListener
from holdfast.core.access import Access
from holdfast.core.lockout import LOCKABLE
from holdfast.core.mounts import Defaults, UserLockout
from holdfast.crypto import Seal, Secret
from holdfast.engine import Effect, Memo, NodeFacts, Place, Reply, Request
from holdfast.errors import HoldfastError, UnavailableError
from holdfast.ha.gate import Word
from holdfast.ha.settings import Consistency
from holdfast.http import Listening, TlsConfig, Uploads, listen
from holdfast.http.reply import HOSTNAME, RAFT_NODE_ID
from holdfast.http.upload import prepare
from holdfast.limits import DERIVED_BESIDE_WORKERS_MAX, DERIVED_ENTRIES_MAX, DRAIN_WITHIN_S, MEASURE_WITHIN_S, TICKET_KEY_S
from holdfast.node import harden
from holdfast.node.background import Background
from holdfast.node.clock import SystemClock
from holdfast.node.cluster_gauges import MeasuredLog, set_cluster_gauges
from holdfast.node.commit import Promise
from holdfast.node.devices import AuditDevices, open_sink, try_device
from holdfast.node.effects import Effects
from holdfast.node.listeners import hold_ports, read_tls, read_tls_anew, tls_config
from holdfast.node.logins import Logins
from holdfast.node.main import Main
from holdfast.node.measuring import (
    OF_THE_STATE,
    RequestMetrics,
    add_node_gauges,
    count_audit_failures,
    measure_grants,
    new_metrics,
    set_state_gauges,
)
from holdfast.node.message import Reload, Start, TlsFiles
from holdfast.node.process import RANDOM, settle_memory
from holdfast.node.registry import ENGINES
from holdfast.node.request_log import FailedHandshakes, RequestLog, defects
from holdfast.node.seals import configured_seal, retired_seal
from holdfast.node.serving import Served
from holdfast.node.spawn import Pool
from holdfast.node.store import Store, open_store
from holdfast.node.tending import audit_trouble, tend_devices
from holdfast.node.unsealing import Unsealing
from holdfast.replica import Abandoned, Why
from holdfast.storage.raft import RaftLog
from holdfast.system import build
from holdfast.telemetry.collect import INTERVAL_S, Collector
from holdfast.telemetry.exposition import Options
from holdfast.telemetry.log import Format, Logs, level_named
from holdfast.telemetry.metrics import Snapshot
from holdfast.telemetry.monitor import monitor
from holdfast.telemetry.setup import LogOptions
from holdfast.version import VERSION

if TYPE_CHECKING:
    from holdfast.node.membership import Membership

TEND_EVERY_S = 1.0
TEND_AGAIN_S = 30.0                                  # after a checkpoint failed: the next one may copy gigabytes in vain, too
PROMETHEUS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Server:
    """A node with its sockets, processes and timers."""

    def __init__(self, settings: Settings, logs: Logs, log_options: LogOptions, reread: Callable[[], Settings]) -> None:
        self.settings, self.logs, self._log_options, self._reread = settings, logs, log_options, reread
        self.metrics = new_metrics()
        self._collector = Collector(metrics_options(settings), now_s=time.time())
        self.logger = logs.logger("core")
        self.listening: list[Listening] = []
        self.main: Main
        self._store: Store
        self._uploads: Path
        self._devices: AuditDevices
        self._effects: Effects
        self._membership: Membership | None = None
        self._pool: Pool
        self._held: list[socket.socket] = []
        self._ticket_key = Secret(RANDOM.draw(32))
        self._tls: tuple[TlsFiles | None, ...] = ()
        self._requests: RequestLog
        self._background = Background(self._defect)
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def workers(self) -> int:
        """Processes that read. The storage of `-dev` is this process's own, and so are its reads."""
        asked = self.settings.read_workers
        return asked if asked is not None else max(1, (os.cpu_count() or 1) - 1)

    async def start(self) -> None:
        """Returns when the node answers. Raises HoldfastError or OSError, having started nothing that stays."""
        settings = self.settings
        words = Words.create(len(Word))
        self._pool = Pool(self.workers, (words.fd,), self._submit, self.logs.logger("worker"), self.logs.relay)
        self.logs.heard_level_changed = self._pool.hear
        await self._pool.launch()
        clock = SystemClock()
        self._store = store = await open_store(settings.storage, clock.boot_ms)
        if not settings.disable_mlock:
            harden.lock_memory([store.replica.file])
        self._uploads = prepare(store.folder)
        auto = configured_seal(settings, os.environ)
        self._devices = AuditDevices(open_sink, audit_trouble(self.logger), count_audit_failures(self.metrics))
        defaults = Defaults(default_s=settings.default_lease_ttl_s, max_s=settings.max_lease_ttl_s, lockouts=lockouts_of(settings))
        access = Access(ENGINES, build, defaults, try_device, defects(self.logger))
        measure_grants(access, self.metrics, time.perf_counter_ns)
        tcp = tcp_listeners(settings)
        tls = self._tls = tuple(read_tls(each, self._ticket_key) for each in tcp)
        tcp, self._held = hold_ports(tcp)
        self.logger.info("core.starting", version=VERSION, storage=settings.storage.type, read_workers=self.workers)
        if isinstance(store.log, RaftLog) and (members := store.log.named):
            said = [f"{each.id} {each.address} {'voter' if each.voter else 'learner'}" for each in members]
            self.logger.warn("raft.recovered", members=said, index=store.log.status.last)
        facts = replace(self._facts(auto), node_id=store.node if isinstance(store.log, RaftLog) else "",
                        removed=store.log.is_removed if isinstance(store.log, RaftLog) else None)
        self._own_headers = own_headers(settings, facts.node_id)
        first = Start(number=0, replica_path=str(store.replica_path), uploads_path=str(self._uploads), words_fd=words.fd,
                      listeners=tcp, tls=tls, ticket_key=self._ticket_key, defaults=defaults, facts=facts,
                      logs=_of_workers(self._log_options), lock_memory=not settings.disable_mlock, own_headers=self._own_headers,
                      max_duration_s=settings.default_max_request_duration_s, requests_level=settings.log_requests_level)
        log = MeasuredLog(store.log, self.metrics, time.perf_counter_ns) if isinstance(store.log, RaftLog) else store.log
        self.main = Main(access, log, store.replica, words, clock, self._devices, self._pool,
                         Unsealing(auto, lambda: str(uuid.uuid4()), retired_seal(settings, os.environ)), facts, RANDOM.draw,
                         self._perform, RequestMetrics(self.metrics), self.logger,
                         derived_max=DERIVED_BESIDE_WORKERS_MAX if self.workers else DERIVED_ENTRIES_MAX)
        add_node_gauges(self.metrics, lambda: self.main.facts, lambda: words.load(Word.WATERMARK))
        self._requests = RequestLog(Logins(self.metrics, self.main.serve).serve, self.logger)
        self._effects = Effects(self.main, auto, reload=self.reload, metrics=self._metrics, monitor=self._monitor)
        if isinstance(store.log, RaftLog):
            from holdfast.node.membership import Membership  # here: see there

            self._membership = Membership(self.main, self._effects, store, store.log, settings, auto, self._uploads, self.logs)
        self.main.begin()
        if auto is not None and self.main.facts.initialized:
            await self.main.unseal_itself()
        await self._pool.start(replace(first, facts=self.main.facts))
        await self._listen(tcp if not self.workers else (), tls)
        if self._membership is not None:
            self._membership.look_for_cluster()
        self._background.begin(tend_devices(self.main.attempts, self._devices, self._audit_broken))
        self._background.begin(self._tend())
        settle_memory()

    def _audit_broken(self, broken: bool) -> None:
        if self._membership is not None:
            self._membership.audit_is_broken(broken)

    async def _listen(self, tcp: tuple[TcpListener, ...], tls: tuple[TlsFiles | None, ...]) -> None:
        """Unix sockets, and without workers everything."""
        for settings, files in zip(tcp, tls, strict=False):
            made = tls_config(settings, files, self._ticket_key) if files is not None else None
            await self._listen_on(settings, made)
        for unix in self.settings.listeners:
            if isinstance(unix, UnixListener):
                await self._listen_on(unix, None)

    async def _listen_on(self, settings: TcpListener | UnixListener, tls: TlsConfig | None) -> None:
        self.listening.append(await listen(
            settings, self._requests.handler(self.settings.log_requests_level), tls=tls,
            reuse_port=isinstance(settings, TcpListener), new_request_id=RANDOM.request_id, own_headers=self._own_headers,
            default_duration_s=self.settings.default_max_request_duration_s, cross_origin=self.main.attempts.cross_origin,
            handshake_failed=FailedHandshakes(self.logs.logger("http"), asyncio.get_running_loop().time),
            uploads=Uploads(self._uploads, self.main.serving.admission)))

    async def stop(self) -> None:
        """Finishes what has begun, seals, and lets go of everything."""
        self.logger.info("core.stopping")
        self.logs.end_listeners()
        for listening in self.listening:
            listening.stop_accepting()
        await asyncio.gather(self._pool.drain(DRAIN_WITHIN_S), *(listening.drain(DRAIN_WITHIN_S) for listening in self.listening))
        self._background.cancel()
        if self._membership is not None:
            self._membership.stop_looking()
        await self.main.seal()
        self._devices.close()
        await self._store.close()
        for held in self._held:
            held.close()

    def begin_reload(self) -> None:
        """SIGHUP."""
        self._background.begin(self.reload())

    async def reload(self) -> None:
        """SIGHUP: certificates, headers of answers, the levels of the log, audit files. A certificate that does not fit is reported, and
        all stays as it was."""
        try:
            settings = self._reread()
            tls = read_tls_anew(tcp_listeners(self.settings), tcp_listeners(settings), self._ticket_key)
        except (HoldfastError, OSError, ValueError) as error:
            self.logger.error("core.reload_failed", why=str(error))
            return
        self._tls, self._ticket_key = tls, Secret(RANDOM.draw(32))       # a session of before may be one that nobody would begin now
        self._use_tls()
        handler = self._requests.handler(settings.log_requests_level)
        for listening in self.listening:
            listening.use_handler(handler)
            listening.use_headers(custom_headers(listening.settings, settings))
        self.logs.set_level(level_named(settings.log_level))
        self._devices.reopen()
        self._pool.reload(Reload(
            tls=tls, ticket_key=self._ticket_key, headers=tuple(custom_headers(each, settings) for each in tcp_listeners(self.settings)),
            log_level=settings.log_level, requests_level=settings.log_requests_level))
        self.logger.info("core.reloaded", log_level=settings.log_level)

    def _use_tls(self) -> None:
        for listening, files in zip(self.listening, self._tls, strict=False):
            if files is not None and isinstance(listening.settings, TcpListener):
                listening.use_tls(tls_config(listening.settings, files, self._ticket_key))

    def _renew_ticket_key(self) -> None:
        self._ticket_key = Secret(RANDOM.draw(32))
        self._use_tls()
        self._pool.use_ticket_key(self._ticket_key)

    def _facts(self, auto: Seal | None) -> NodeFacts:
        settings = self.settings
        return NodeFacts(
            hostname=socket.gethostname(), ha_enabled=settings.storage.type == "raft", active_api_address=settings.api_addr,
            active_cluster_address=settings.cluster_addr,
            cluster_name=settings.cluster_name, shows_node_id=settings.enable_response_header_raft_node_id,
            seal_type=auto.type.value if auto else "shamir", recovery_seal=auto is not None,
            storage_type=settings.storage.type, allow_forwarding_via_header=settings.replication.allow_forwarding_via_header,
            may_lag=settings.consistency.value == Consistency.SESSION.value)

    def _submit(self, request: Request, to: Place, why: Why, memo: Memo, answer: Promise) -> None:
        self.main.submit(request, to, why, memo, answer)

    def _perform(self, effect: Effect) -> Coroutine[None, None, Served]:
        return self._effects.perform(effect)

    async def _metrics(self, prometheus: bool) -> Reply:
        if prometheus and not self._collector.has_prometheus:
            return Reply(status=400, body=b"prometheus is not enabled", content_type="text/plain; charset=utf-8")
        snapshots, cluster = await self._snapshots(), self.main.facts.cluster_name
        if prometheus:
            return Reply(status=200, body=self._collector.prometheus(snapshots, now_s=time.time(), cluster=cluster),
                         content_type=PROMETHEUS_TYPE)
        return Reply(status=200, body=self._collector.json(snapshots, now_s=time.time(), cluster=cluster))

    async def _snapshots(self) -> tuple[Snapshot, ...]:
        if self._effects.raft_status is not None:
            set_cluster_gauges(self.metrics, self.main.facts, self._effects.raft_status())
        return (self.metrics.snapshot(), *await self._pool.measure(MEASURE_WITHIN_S))

    def _monitor(self, level: str, as_json: bool) -> AsyncIterator[bytes]:
        return monitor(self.logs, level_named(level), Format.JSON if as_json else Format(self._log_options.format))

    async def _tend(self) -> None:
        """What a node looks after by itself: readers that died, checkpoints, the interval of the metrics."""
        measured_s = store_in_s = 0.0
        loop = asyncio.get_running_loop()
        ticket_key_until = loop.time() + TICKET_KEY_S
        while True:
            await asyncio.sleep(TEND_EVERY_S)
            if loop.time() >= ticket_key_until:
                ticket_key_until = loop.time() + TICKET_KEY_S
                self._renew_ticket_key()
            store_in_s -= TEND_EVERY_S
            if store_in_s <= 0 and not await self._tend_store():
                store_in_s = TEND_AGAIN_S
            measured_s += TEND_EVERY_S
            if measured_s >= INTERVAL_S:
                measured_s = 0.0
                self._measure_state()
                self._collector.tick(await self._snapshots(), now_s=time.time())

    def _measure_state(self) -> None:
        """The gauges that cost a look at the store. While another node is active they are its."""
        attempts = self.main.attempts
        if attempts.has_keys and self.main.facts.is_active:
            with contextlib.suppress(Abandoned):         # under a key that is on its way: the next interval has it
                attempts.read(lambda txn: set_state_gauges(self.metrics, txn))
        else:
            for name in OF_THE_STATE:
                self.metrics.drop_gauges(name)

    async def _tend_store(self) -> bool:
        """False: there was no room for a checkpoint, say. The old one is still there, and reads need none."""
        try:
            await self._store.tend()
        except (OSError, UnavailableError) as error:
            self.logger.error("storage.checkpoint_failed", why=str(error))
            return False
        return True

    def _defect(self, error: BaseException) -> None:
        """A node that cannot tend itself must not go on."""
        if not self.ended.done():
            self.ended.set_exception(error)


def own_headers(settings: Settings, node_id: str) -> tuple[tuple[str, str], ...]:
    """Of every answer: which node has made it."""
    hostname = ((HOSTNAME, socket.gethostname()),) if settings.enable_response_header_hostname else ()
    node = ((RAFT_NODE_ID, node_id),) if settings.enable_response_header_raft_node_id and node_id else ()
    return (*hostname, *node)


def tcp_listeners(settings: Settings) -> tuple[TcpListener, ...]:
    return tuple(each for each in settings.listeners if isinstance(each, TcpListener))


def custom_headers(running: TcpListener | UnixListener, settings: Settings) -> Mapping[str, Mapping[str, str]]:
    """Of a listener that runs: the headers as its stanza has them now. One whose stanza has gone keeps what it had."""
    return next((each for each in settings.listeners if each.address == running.address), running).custom_response_headers


def _of_workers(logs: LogOptions) -> LogOptions:
    """The same, but main alone begins new log files."""
    return logs if logs.file is None else replace(logs, file=replace(logs.file, rotates=False))


def lockouts_of(settings: Settings) -> Mapping[str, UserLockout]:
    """By type of auth method; what has no stanza of its own is as `all` says."""
    named = {each.type: each for each in settings.user_lockouts}
    stanzas = {type_: named.get(type_) or named.get("all") for type_ in LOCKABLE}
    return {type_: UserLockout(threshold=found.lockout_threshold, duration_s=found.lockout_duration_s,
                               counter_reset_s=found.lockout_counter_reset_s, disable=found.disable_lockout)
            for type_, found in stanzas.items() if found is not None}


def metrics_options(settings: Settings) -> Options:
    """The `telemetry` stanza, as far as names go."""
    telemetry = settings.telemetry
    return Options(prefix=telemetry.metrics_prefix, hostname=socket.gethostname(), disable_hostname=telemetry.disable_hostname,
                   enable_hostname_label=telemetry.enable_hostname_label, filter_default=telemetry.filter_default,
                   prefix_filter=telemetry.prefix_filter, prometheus_retention_s=telemetry.prometheus_retention_time_s)
