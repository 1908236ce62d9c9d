"""May this node answer this request at all? Asked before anything is read for the request."""
from holdfast.core import state_token
from holdfast.engine import Attempt, Inconsistent, Op, Place, Request
from holdfast.errors import BadRequest, StateNotPresent, UnavailableError
from holdfast.replica import Why


def hold(request: Request, attempt: Attempt) -> bool:
    """Nothing stands against answering here, whatever the operation. The common case, kept to a few tests."""
    return attempt.has_lease and not attempt.facts.sealed and not request.wants_active and not request.states


def check(request: Request, attempt: Attempt, local: Op | None) -> None:
    """Sealed; no read lease; asked for the active node; asked for a newer state. Operations about this node need no lease."""
    txn, facts = attempt.txn, attempt.facts
    if facts.sealed and not (local is not None and local.sealed):
        if attempt.has_lease:
            txn.need(Place.MAIN, Why.BEHIND)             # unsealed a moment ago: main knows first
        raise UnavailableError("Vault is sealed")
    if local is not None:
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
            if request.inconsistent is not Inconsistent.FAIL and txn.run.place < Place.ACTIVE:
                txn.need(Place.ACTIVE, Why.BEHIND)
            raise StateNotPresent("required index state not present")
