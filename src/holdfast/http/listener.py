"""Sockets that listen, TCP and unix, and the life of what came in through them."""
import asyncio
import grp
import os
import pwd
import socket
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from holdfast._native import TlsConfig
from holdfast.config.addresses import host_port
from holdfast.config.settings import TcpListener, UnixListener
from holdfast.http.connection import Connection
from holdfast.http.cross_origin import RulesNow
from holdfast.http.place import Handler, HandshakeFailed, Place
from holdfast.http.reply import OwnHeaders
from holdfast.http.upload import Uploads
from holdfast.ids import RequestId
from holdfast.limits import HTTP_BACKLOG


class Listening:
    """One listener at work. `settings` is its stanza, `addresses` where it can be reached: `host:port`, or the path of a socket."""

    def __init__(self, settings: TcpListener | UnixListener, place: Place, server: asyncio.Server, sock: socket.socket) -> None:
        self.settings, self._place, self._server = settings, place, server
        self._path = settings.address if isinstance(settings, UnixListener) else None
        self.addresses: tuple[str, ...] = (self._path or host_port(*sock.getsockname()[:2]),)

    def use_tls(self, config: TlsConfig) -> None:
        """For connections from now on; those that are open keep what they have."""
        self._place.tls = config

    def use_headers(self, custom: Mapping[str, Mapping[str, str]]) -> None:
        """The listener's own headers of answers, from now on."""
        self._place.use_headers(custom)

    def use_handler(self, serve: Handler) -> None:
        """For requests from now on."""
        self._place.serve = serve

    def stop_accepting(self) -> None:
        """Nobody comes in any more; who is in, stays."""
        self._server.close()
        if self._path is not None:
            Path(self._path).unlink(missing_ok=True)
            self._path = None

    async def drain(self, within_s: float) -> None:
        """Ends every connection once it has its answer, and all that are left after `within_s`."""
        self.stop_accepting()
        await self._place.drain(within_s)
        self._place.close()

    def close(self) -> None:
        """Ends everything now."""
        self.stop_accepting()
        self._place.close()


async def listen(settings: TcpListener | UnixListener, serve: Handler, *, tls: TlsConfig | None, reuse_port: bool,
                 new_request_id: Callable[[], RequestId], sock: socket.socket | None = None, own_headers: OwnHeaders = (),
                 default_duration_s: float = 90.0, cross_origin: RulesNow = lambda: None,
                 handshake_failed: HandshakeFailed = lambda client, why: None, uploads: Uploads | None = None) -> Listening:
    """Takes connections from now on. `sock`: already bound, instead of the address of `settings`; `uploads`: where bodies go that are
    files, None: into memory. Raises OSError."""
    bound = sock if sock is not None else _bind(settings, reuse_port=reuse_port)
    place = Place(settings, serve, tls=tls, new_request_id=new_request_id, own_headers=own_headers,
                  default_duration_s=default_duration_s, cross_origin=cross_origin, handshake_failed=handshake_failed,
                  uploads=uploads)
    loop = asyncio.get_running_loop()

    def connect() -> Connection:
        return Connection(place)

    if isinstance(settings, UnixListener):
        server = await loop.create_unix_server(connect, sock=bound, backlog=HTTP_BACKLOG)
    else:
        server = await loop.create_server(connect, sock=bound, backlog=HTTP_BACKLOG)
    return Listening(settings, place, server, bound)


def _bind(settings: TcpListener | UnixListener, *, reuse_port: bool) -> socket.socket:
    try:
        return _bind_unix(settings) if isinstance(settings, UnixListener) else _bind_tcp(settings.address, reuse_port=reuse_port)
    except (OSError, LookupError, ValueError) as error:
        number = error.errno if isinstance(error, OSError) else None
        raise OSError(number, f"listener {settings.address}: {error}") from error


def _bind_tcp(address: str, *, reuse_port: bool) -> socket.socket:
    """An empty host is every address, of both kinds where the machine has both."""
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    both = not host and socket.has_dualstack_ipv6()
    family, *_, where = socket.getaddrinfo(host or ("::" if both else "0.0.0.0"), int(port), type=socket.SOCK_STREAM,
                                           flags=socket.AI_PASSIVE)[0]
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family is socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if both else 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(where)
    except OSError:
        sock.close()
        raise
    return sock


def _bind_unix(settings: UnixListener) -> socket.socket:
    """Owner and mode are set before anybody can connect: a socket that does not listen yet refuses."""
    path = settings.address
    if os.path.lexists(path) and stat.S_ISSOCK(os.lstat(path).st_mode):
        os.unlink(path)                                  # of a process that was killed
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(path)
        if settings.socket_user or settings.socket_group:
            os.chown(path, _number(settings.socket_user, _user), _number(settings.socket_group, _group))
        if settings.socket_mode:
            os.chmod(path, int(settings.socket_mode, 8))
    except (OSError, LookupError, ValueError):
        sock.close()
        raise
    return sock


def _user(name: str) -> int:
    return pwd.getpwnam(name).pw_uid


def _group(name: str) -> int:
    return grp.getgrnam(name).gr_gid


def _number(name: str, find: Callable[[str], int]) -> int:
    """By number, or by name; empty: as it is."""
    if not name:
        return -1
    return int(name) if name.isdigit() else find(name)
