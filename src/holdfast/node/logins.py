"""What a process counts of logins and of tokens made: by their paths, from outside, so that the way of all other requests stays as it is.

Source of the names: Vault, "Telemetry": `core.handle_login_request`, `token.creation`.
"""
import time
from collections.abc import Awaitable

from holdfast.engine import Method, Request
from holdfast.http import Handler
from holdfast.node.serving import Served
from holdfast.telemetry.metrics import Metrics

LOGIN, POST = "/login", Method.POST
TOKENS = "auth/token/"
CREATE = "auth/token/create"


class Logins:
    """`serve`, with logins measured and tokens counted. What came of a token afterwards is not looked at."""

    def __init__(self, metrics: Metrics, serve: Handler) -> None:
        self._metrics, self._serve = metrics, serve
        self._handled = metrics.summary("core.handle_login_request").observe_ns

    def serve(self, request: Request) -> Served | Awaitable[Served]:
        """Nearly every request passes here untouched."""
        if request.method is not POST or not request.path.startswith("auth/"):
            return self._serve(request)
        mount = _maker(request.path)
        return self._serve(request) if mount is None else self._measured(request, mount)

    async def _measured(self, request: Request, mount: str) -> Served:
        began_ns = time.perf_counter_ns()
        answer = self._serve(request)
        served = await answer if isinstance(answer, Awaitable) else answer
        if mount != TOKENS:
            self._handled(time.perf_counter_ns() - began_ns)
        if served.status == 200:
            self._metrics.counter("token.creation", mount_point=mount).add()
        return served


def _maker(path: str) -> str | None:
    """The mount that makes a token when it is asked for this path; None: none does."""
    if path.startswith(CREATE):
        return TOKENS
    if path.startswith(TOKENS):
        return None
    mount, found, rest = path.partition(LOGIN)
    return mount + "/" if found and (not rest or rest.startswith("/")) else None
