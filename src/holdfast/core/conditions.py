"""May this node answer this request at all? Asked before anything is read for the request."""
from holdfast.core import state_token
from holdfast.engine import Attempt, Inconsistent, Op, Place, Request
from holdfast.errors import BadRequest, StateNotPresent, UnavailableError
from holdfast.replica import Why

FAIL = Inconsistent.FAIL                                 # a plain module name: looked at in each request
LOCAL_ONLY = "cannot forward local-only request"         # as Vault words it


def hold(request: Request, attempt: Attempt) -> bool:
    """Nothing stands against answering here, whatever the operation. The common case, kept to a few tests."""
    return (attempt.has_lease and not attempt.facts.sealed and not request.wants_active and not request.states
            and request.inconsistent is FAIL)


def check(request: Request, attempt: Attempt, local: Op | None) -> None:
    """Sealed; no read lease; asked for the active node; asked for a newer state. Operations about this node are never passed on."""
    txn, facts = attempt.txn, attempt.facts
    # Metrics, where the listener opens them to anybody, tell of a sealed node too: core.unsealed is 0 there.
    if facts.sealed and not (local is not None and (local.sealed or (local.public and request.listener.open_metrics))):
        if attempt.has_lease:
            txn.need(Place.MAIN, Why.BEHIND)             # unsealed a moment ago: main knows first
        raise UnavailableError("Vault is sealed")
    if local is not None:
        if not (attempt.has_lease or local.public or local.sealed):
            check_own_state(attempt)
        return
    if (request.wants_active or request.inconsistent is Inconsistent.FORWARD) and not facts.allow_forwarding_via_header:
        raise BadRequest("forwarding by header is not enabled: set allow_forwarding_via_header in the replication stanza")
    if not attempt.has_lease:
        txn.need(Place.ACTIVE, Why.NO_LEASE)
    if request.wants_active:
        txn.need(Place.ACTIVE, Why.ASKED)
    for state in request.states:
        if state_token.read(txn, state) > txn.run.reader.index:
            # The lane has every state: what it has not got does not exist, in this cluster.
            if request.inconsistent is not FAIL and txn.run.place < Place.ACTIVE:
                txn.need(Place.ACTIVE, Why.BEHIND)
            raise StateNotPresent("required index state not present")


def check_own_state(attempt: Attempt) -> None:
    """A token for an operation about this node is judged by the state that is here: that of a node which follows the active one, even if
    its lease has lapsed for a moment; not that of a plain standby. Raises BadRequest."""
    if not (attempt.has_lease or attempt.facts.is_active or attempt.facts.performance_standby):
        raise BadRequest(LOCAL_ONLY)
