"""What a process logs of its clients: requests, where the configuration asks for it, and handshakes that came to nothing."""
import time
from collections.abc import Awaitable, Callable

from holdfast.config.addresses import host_port
from holdfast.engine import Client, Request
from holdfast.engine.time import rfc3339
from holdfast.http import Handler
from holdfast.ids import Millis
from holdfast.limits import HANDSHAKES_LOGGED_A_MINUTE
from holdfast.node.serving import Served
from holdfast.telemetry.log import Level, Logger, level_named
from holdfast.telemetry.setup import places


class RequestLog:
    """`serve` with a line for each answer. Off, it is `serve` itself, and costs nothing."""

    def __init__(self, serve: Handler, logger: Logger) -> None:
        self._serve, self._logger = serve, logger

    def handler(self, level: str) -> Handler:
        """`level`: log_requests_level, by name."""
        at = level_named(level)
        if at is Level.OFF:
            return self._serve

        def serve(request: Request) -> Served | Awaitable[Served]:
            began_s = time.time()
            served = self._serve(request)
            if isinstance(served, Awaitable):
                return self._later(at, request, began_s, served)
            self._log(at, request, began_s, served)
            return served

        return serve

    async def _later(self, level: Level, request: Request, began_s: float, answer: Awaitable[Served]) -> Served:
        served = await answer
        self._log(level, request, began_s, served)
        return served

    def _log(self, level: Level, request: Request, began_s: float, served: Served) -> None:
        self._logger.log(
            level, "completed_request", client_address=host_port(request.client.address, request.client.port), status_code=served.status,
            request_path=f"/v1/{request.path}", request_method=request.method.value, start_time=rfc3339(Millis(int(began_s * 1000))),
            duration=f"{(time.time() - began_s) * 1000:.0f}ms")


class FailedHandshakes:
    """A line for each, up to a number in a minute: who scans ports does not fill the log. `now` in s, steady."""

    def __init__(self, logger: Logger, now: Callable[[], float]) -> None:
        self._logger, self._now = logger, now
        self._minute, self._count = -1, 0

    def __call__(self, client: Client, why: str) -> None:
        minute = int(self._now() // 60)
        if minute != self._minute:
            if self._count > HANDSHAKES_LOGGED_A_MINUTE:
                self._logger.info("http.handshakes_failed", more=self._count - HANDSHAKES_LOGGED_A_MINUTE)
            self._minute, self._count = minute, 0
        self._count += 1
        if self._count <= HANDSHAKES_LOGGED_A_MINUTE:
            self._logger.info("http.handshake_failed", client_address=host_port(client.address, client.port), why=why)


def defects(logger: Logger) -> Callable[[str, BaseException], None]:
    """A line for each handler that raised what it should not have: where it came through, never what it held."""

    def defect(where: str, error: BaseException) -> None:
        logger.error("core.handler_failed", path=where, error=type(error).__name__, at=places(error))

    return defect
