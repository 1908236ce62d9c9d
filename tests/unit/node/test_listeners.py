"""Ports: held for one node, refused to a second one."""
import errno
import socket

import pytest

from holdfast.config.settings import TcpListener
from holdfast.node.listeners import hold_ports


def test_a_port_of_zero_becomes_one_that_is_held() -> None:
    (listener,), (held,) = hold_ports((TcpListener(address="127.0.0.1:0", tls_disable=True),))
    with held:
        assert listener.address == f"127.0.0.1:{held.getsockname()[1]}"
        assert not listener.address.endswith(":0")


def test_a_port_on_which_somebody_listens_is_refused_though_it_could_be_shared() -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(OSError, match=f"listener {address}: Address already in use") as caught:
            hold_ports((TcpListener(address=address, tls_disable=True),))
        assert caught.value.errno == errno.EADDRINUSE


def test_processes_of_one_node_share_what_is_held() -> None:
    (listener,), (held,) = hold_ports((TcpListener(address="127.0.0.1:0", tls_disable=True),))
    with held, socket.socket() as worker:
        worker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        worker.bind(("127.0.0.1", int(listener.address.rpartition(":")[2])))
        worker.listen()
