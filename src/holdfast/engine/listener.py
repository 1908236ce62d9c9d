"""What the place where a request came in decides."""
import msgspec


class Listener(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the listener's stanza says about answers: where a request came in decides what it may see."""

    redact_addresses: bool = False
    redact_cluster_name: bool = False
    redact_version: bool = False
    hide_replication: bool = False                   # disable_replication_status_endpoints
    open_metrics: bool = False                       # telemetry { unauthenticated_metrics_access }


PLAIN_LISTENER = Listener()
