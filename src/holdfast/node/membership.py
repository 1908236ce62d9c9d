"""A node's part in its cluster, put together from the rooms that an only node does without. It does not wait for them when it starts: they
are a third of what there is to import, so this module is imported where the storage has members.
"""
import socket
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from holdfast.cluster import TlsPort
from holdfast.config import raft_settings
from holdfast.config.settings import Settings, TcpListener
from holdfast.crypto import Seal
from holdfast.ha.machine import Machine
from holdfast.ha.settings import Consistency
from holdfast.ha.settings import Settings as HaSettings
from holdfast.node.api_client import post
from holdfast.node.cluster import PORT_BOUNDS, Clustering, ClusterSettings
from holdfast.node.effects import Effects
from holdfast.node.join import Admitting, Joiner, leaders
from holdfast.node.main import Main
from holdfast.node.process import RANDOM
from holdfast.node.snapshots import Snapshots
from holdfast.node.store import Store
from holdfast.storage.disk import OsDisk
from holdfast.storage.incarnation import next_incarnation
from holdfast.storage.raft import RaftLog
from holdfast.telemetry.log import Logger, Logs


class Membership:
    """Gives `main` and `effects` what they need of the other nodes. `log`: that of `store`; `uploads`: where bodies lie that are files."""

    def __init__(self, main: Main, effects: Effects, store: Store, log: RaftLog, settings: Settings, auto: Seal | None, uploads: Path,
                 logs: Logs) -> None:
        self._main, self._raft = main, raft_settings(settings.storage)
        logger = logs.logger("raft")
        self._cluster = cluster = _clustering(main, store, log, settings, logs.logger("cluster"))
        self._joiner = Joiner(main, cluster, log, node=cluster.settings.node, cluster_address=cluster.settings.cluster_address, auto=auto,
                              call=post, logger=logger, api_address=cluster.settings.api_address)
        main.cluster, main.joiner, effects.joiner = cluster, self._joiner, self._joiner
        effects.raft_status = lambda: log.status
        effects.admitting = admitting = Admitting(main.attempts, log, auto, RANDOM.draw, main.cluster_now, main.clock.boot_ms,
                                                  main.submit_own, cluster.gives_way, logger)
        effects.snapshots = Snapshots(main, log, store.replica, store.replica_path.parent, uploads, admitting.seal, cluster.put_back,
                                      main.clock, RANDOM.draw, logger)

    def audit_is_broken(self, broken: bool) -> None:
        self._cluster.audit_is_broken(broken)

    def look_for_cluster(self) -> None:
        """Asks whom `retry_join` names, until this node is a member. Raises ConfigError."""
        if not self._main.facts.initialized and (named := leaders(self._raft.retry_join)):
            self._joiner.keep_trying(named, non_voter=self._raft.retry_join_as_non_voter)

    def stop_looking(self) -> None:
        self._joiner.stop()


def _clustering(main: Main, store: Store, log: RaftLog, settings: Settings, logger: Logger) -> Clustering:
    listener, raft = next(each for each in settings.listeners if isinstance(each, TcpListener)), raft_settings(settings.storage)
    consistency = Consistency(settings.consistency.value)
    own = ClusterSettings(
        node=store.node, hostname=socket.gethostname(), api_address=settings.api_addr,
        cluster_address=urlsplit(settings.cluster_addr).netloc, listen_address=listener.cluster_address,
        is_strict=consistency is Consistency.STRICT, look_every_s=raft.autopilot_update_interval_s,
        change_every_s=raft.autopilot_reconcile_interval_s)

    def new_machine(incarnation: int) -> Machine:
        return Machine(HaSettings(node=store.node, incarnation=incarnation, consistency=consistency,
                                  disable_performance_standby=settings.disable_performance_standby))

    return Clustering(main, log, store.replica, own, draw=RANDOM.draw,
                      new_incarnation=partial(next_incarnation, OsDisk(), store.replica_path.parent),
                      new_port=lambda introduce: TlsPort(introduce, bounds=PORT_BOUNDS, log=logger),
                      new_machine=new_machine, logger=logger)
