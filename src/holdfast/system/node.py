"""sys/metrics, sys/monitor, sys/config/reload, sys/host-info's kin: what one node tells of itself, and what it is told.

Source: Vault API, the pages of these names. All are local: never forwarded, carried out by main.
"""
from typing import Annotated

from holdfast.core import acl, conditions
from holdfast.engine import Context, Input, Method, Perform, Request, Response, Route, Txn, doc, on
from holdfast.engine.effect import CollectMetrics, Monitor, Reload
from holdfast.errors import BadRequest, InvalidToken, PermissionDenied, PolicyDenied

LOG_LEVELS = ("trace", "debug", "info", "warn", "error", "off")
FORMATS = ("", "json", "prometheus")
RELOADABLE = ("license",)                            # the one subsystem that Vault's endpoint knows; there is no licence here


class MetricsInput(Input, frozen=True):
    format: Annotated[str, doc("`prometheus`, or empty: JSON, unless `Accept` asks for the other.")] = ""


class MonitorInput(Input, frozen=True):
    log_level: Annotated[str, doc("Least level of the lines.")] = "info"
    log_format: Annotated[str, doc("`standard` or `json`.")] = "standard"


class ReloadInput(Input, frozen=True):
    subsystem: Annotated[str, doc("What to read anew.")]


def metrics(txn: Txn, args: MetricsInput, ctx: Context) -> Perform:
    """Show what this node has counted and measured."""
    if not ctx.request.listener.open_metrics:
        _check_token(txn, ctx)
    if args.format not in FORMATS:
        raise BadRequest(f"metric response format {args.format[:64]!r} is unknown")
    return Perform(CollectMetrics(prometheus=args.format == "prometheus" or (not args.format and _asks_for_prometheus(ctx.request))))


def _asks_for_prometheus(request: Request) -> bool:
    """As the server of that name does, and its agents, where nobody has named a format."""
    accept = next((value for name, value in request.headers if name == "accept"), b"")
    return accept.startswith(b"application/openmetrics-text") or b"prometheus/telemetry" in accept


def _check_token(txn: Txn, ctx: Context) -> None:
    """The operation is public for the sake of listeners that open it; here it is as if it were not."""
    conditions.check_own_state(ctx.attempt)
    if ctx.token is None:
        raise PermissionDenied if ctx.request.token is None else InvalidToken
    rules = acl.rules(txn, ctx.token.policies, ctx.token.entity_id, ctx.request.method, ctx.request.path)
    if not acl.permits_always(rules, ROUTES[0].ops[Method.GET], ctx.request.method):
        raise PolicyDenied


def monitor(txn: Txn, args: MonitorInput, ctx: Context) -> Perform:
    """Stream this node's log as it is written."""
    level, form = args.log_level.strip().lower() or "info", args.log_format.lower()
    if level not in LOG_LEVELS:
        raise BadRequest(f"unknown log level {args.log_level[:32]!r}")
    if form not in ("standard", "json"):
        raise BadRequest(f"unknown log format {args.log_format[:32]!r}")
    return Perform(Monitor(level=level, json=form == "json"))


def reload(txn: Txn, args: ReloadInput, ctx: Context) -> Response:
    """Read a part of the configuration anew."""
    if args.subsystem not in RELOADABLE:
        raise BadRequest(f"subsystem {args.subsystem[:64]!r} cannot be reloaded")
    ctx.effect(Reload(args.subsystem))
    return Response()


ROUTES = (
    Route("metrics", "What this node has counted and measured.", {Method.GET: on(MetricsInput, metrics, public=True, local=True)}),
    Route("monitor", "This node's log as it is written.", {Method.GET: on(MonitorInput, monitor, sudo=True, local=True)}),
    Route("config/reload/:subsystem", "Parts of the configuration, read anew.", {
        Method.POST: on(ReloadInput, reload, sudo=True, local=True),
    }),
)
