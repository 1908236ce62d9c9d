"""Addresses that follow from others."""
from __future__ import annotations

import pytest

from holdfast.config import detected_api_addr
from holdfast.config.addresses import cluster_addr_of, is_unspecified, next_port
from holdfast.config.settings import TcpListener, UnixListener


@pytest.mark.parametrize(("listeners", "host", "address"), [
    ((), "h", "https://h:8200"),
    ((TcpListener(address="0.0.0.0:9000"),), "h", "https://h:9000"),
    ((TcpListener(address="0.0.0.0:9000", tls_disable=True), UnixListener(address="/s")), "fd00::1", "http://[fd00::1]:9000"),
    ((TcpListener(address="127.0.0.1:9000"),), "h", "https://127.0.0.1:9000"),
    ((TcpListener(address="0.0.0.0:1", tls_disable=True), TcpListener(address="0.0.0.0:2")), "h", "http://h:2"),
])
def test_a_detected_api_addr(listeners: tuple[TcpListener | UnixListener, ...], host: str, address: str) -> None:
    assert detected_api_addr(listeners, host) == address


@pytest.mark.parametrize("api_addr", ["unix:///run/s", "https://h:65535"])
def test_no_cluster_addr_follows(api_addr: str) -> None:
    with pytest.raises(ValueError, match="set"):
        cluster_addr_of(api_addr)


@pytest.mark.parametrize(("address", "following"), [("127.0.0.1:8200", "127.0.0.1:8201"), ("[::]:0", "[::]:0"), (":8200", ":8201")])
def test_the_next_port(address: str, following: str) -> None:
    assert next_port(address) == following


@pytest.mark.parametrize(("address", "unspecified"), [
    ("https://0.0.0.0:1", True), ("https://[::]:1", True), ("https://h:1", False), ("https://10.0.0.1:1", False)])
def test_addresses_that_name_no_host(address: str, unspecified: bool) -> None:
    assert is_unspecified(address) is unspecified
