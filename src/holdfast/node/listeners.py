"""What listeners need from the machine: their ports, held by main for as long as it lives, and their files."""
import socket
from pathlib import Path

from msgspec.structs import replace

from holdfast.config.settings import TcpListener
from holdfast.crypto import Secret
from holdfast.http.tls import TlsConfig, make_tls
from holdfast.node.message import TlsFiles


def hold_ports(listeners: tuple[TcpListener, ...]) -> tuple[tuple[TcpListener, ...], list[socket.socket]]:
    """Binds each address without listening on it, so that no other program takes it while workers come and go; a port of 0 becomes the one
    that was given. Raises OSError that names the address."""
    held, found = [], []
    for listener in listeners:
        host, _, port = listener.address.rpartition(":")
        family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        held.append(sock)
        try:
            _check_free(family, (host.strip("[]"), int(port)))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host.strip("[]"), int(port)))
        except OSError as error:
            for one in held:
                one.close()
            raise OSError(error.errno, f"listener {listener.address}: {error.strerror}") from error
        found.append(replace(listener, address=f"{host}:{sock.getsockname()[1]}"))
    return tuple(found), held


def _check_free(family: socket.AddressFamily, address: tuple[str, int]) -> None:
    """Sharing a port is for the processes of one node: another one that listens there would silently get half of the requests."""
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)


def read_tls(listener: TcpListener, ticket_key: Secret) -> TlsFiles | None:
    """The files that the stanza names, checked as a whole, so that no process is ever given what it cannot use; None without TLS.
    Raises OSError, and ValueError that names the listener."""
    if listener.tls_disable:
        return None
    ca = Path(listener.tls_client_ca_file).read_bytes() if listener.tls_client_ca_file else b""
    key = Secret(Path(listener.tls_key_file).read_bytes())
    files = TlsFiles(certificate=Path(listener.tls_cert_file).read_bytes(), key=key, client_ca=ca)
    try:
        tls_config(listener, files, ticket_key)
    except ValueError as error:
        raise ValueError(f"listener {listener.address}: {error}") from error
    return files


def read_tls_anew(running: tuple[TcpListener, ...], named: tuple[TcpListener, ...], ticket_key: Secret) -> tuple[TlsFiles | None, ...]:
    """For each listener that runs: its files as its stanza names them now. A stanza that has gone leaves them where they were, a new one is
    for the next start, and everything but the files stays as it is. Raises as `read_tls`."""
    now = {listener.address: listener for listener in named}

    def files(listener: TcpListener) -> TlsFiles | None:
        stanza = now.get(listener.address, listener)
        if not stanza.tls_disable:
            listener = replace(listener, tls_cert_file=stanza.tls_cert_file, tls_key_file=stanza.tls_key_file,
                               tls_client_ca_file=stanza.tls_client_ca_file)
        return read_tls(listener, ticket_key)

    return tuple(files(listener) for listener in running)


def tls_config(listener: TcpListener, files: TlsFiles, ticket_key: Secret) -> TlsConfig:
    """Key against certificate is checked, too. Raises ValueError."""
    return make_tls(listener, certificate=files.certificate, key=files.key.value, client_ca=files.client_ca, ticket_key=ticket_key.value)
