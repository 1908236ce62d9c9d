"""Answers that send a client to the active node itself, where a standby does not pass its request on. Source: Vault, "Client redirection".

A standby asks `instead` before it passes a request on, and `to_active` where it could not and it is certain that nothing of the request was
done: a write whose fate is unknown must not be sent anywhere again. Only scheme and host of the active node's API address count; a path in
it is dropped, as in Vault. A snapshot that is to be put back is always redirected, as in Vault: its body is a file, and the node that has
it puts it back, or none does. One that is saved is not, unlike in Vault: it travels between nodes as a stream.
"""
from urllib.parse import quote, urlencode, urlsplit

from holdfast.core import envelope
from holdfast.engine import Method, NodeFacts, Reply, Request
from holdfast.errors import UnavailableError


def instead(request: Request, facts: NodeFacts) -> Reply | None:
    """The redirect, where the client asked for one, or its body is a file. None: pass the request on."""
    return to_active(request, facts) if request.no_forwarding or request.upload else None


def to_active(request: Request, facts: NodeFacts) -> Reply:
    """307 to the same path at the active node; 503 where none is known, or this node is sealed."""
    if facts.sealed:
        return envelope.failed(UnavailableError("Vault is sealed"))
    parts = urlsplit(facts.active_api_address if "://" in facts.active_api_address else f"//{facts.active_api_address}")
    if not parts.netloc:
        return envelope.failed(UnavailableError("no active Vault instance found"))
    location = f"{parts.scheme or 'https'}://{parts.netloc}/v1/{quote(request.path, safe='/~!$&()*+,;=:@')}"
    query = urlencode(_query(request))
    return Reply(status=307, content_type="", headers=(("Location", f"{location}?{query}" if query else location),))


def _query(request: Request) -> dict[str, str]:
    """As it came: the one parameter that only says which method is meant was taken out when it was read."""
    return {**request.query, "list": "true"} if request.method is Method.LIST else {**request.query, **request.unread_query}
