"""What must hold between keys, and what follows from them.

Invariant: settings that `checked` gives without an error in `findings` can be started with, as far as the configuration alone can tell.
"""
from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from holdfast.config import addresses
from holdfast.config.finding import Findings
from holdfast.config.raft import check_raft_options
from holdfast.config.settings import ProxyProtocol, SealStanza, Settings, TcpListener, TlsVersion, UnixListener
from holdfast.config.tree import Position

HIGHLY_AVAILABLE = frozenset({"raft", "consul", "etcd", "postgresql"})


def checked_listener(listener: TcpListener | UnixListener, at: Position, findings: Findings) -> TcpListener | UnixListener:
    """With its cluster address filled in."""
    if listener.x_forwarded_for_client_cert_header and not listener.x_forwarded_for_authorized_addrs:
        findings.warn("x_forwarded_for_client_cert_header has no effect without x_forwarded_for_authorized_addrs", at)
    if isinstance(listener, UnixListener):
        return listener
    if not listener.tls_disable:
        for key, value in (("tls_cert_file", listener.tls_cert_file), ("tls_key_file", listener.tls_key_file)):
            if not value:
                findings.error(f"'{key}' must be set, or tls_disable = true", at)
    if (listener.tls_min_version, listener.tls_max_version) == (TlsVersion.TLS13, TlsVersion.TLS12):
        findings.error("tls_min_version is above tls_max_version", at)
    if listener.tls_disable_client_certs and listener.tls_require_and_verify_client_cert:
        findings.error("tls_disable_client_certs and tls_require_and_verify_client_cert exclude each other", at)
    behavior = listener.proxy_protocol_behavior
    if behavior in (ProxyProtocol.ALLOW_AUTHORIZED, ProxyProtocol.DENY_UNAUTHORIZED) and not listener.proxy_protocol_authorized_addrs:
        findings.error(f"proxy_protocol_behavior {behavior.value!r} wants proxy_protocol_authorized_addrs", at)
    return listener if listener.cluster_address else replace(listener, cluster_address=addresses.next_port(listener.address))


def check_seals(seals: Sequence[SealStanza], findings: Findings) -> None:
    """One, or two of which one is disabled: from it the node migrates."""
    enabled = [seal for seal in seals if not seal.disabled]
    if len(seals) > 2:
        findings.error("at most two seals: the one in use, and a disabled one to migrate from")
    elif len(seals) == 2 and len(enabled) != 1:
        findings.error(f"seals: two seals provided but {'neither' if enabled else 'both'} {'is' if enabled else 'are'} disabled")


def checked(settings: Settings, findings: Findings) -> Settings:
    """With the addresses that follow from others filled in."""
    if settings.default_lease_ttl_s > settings.max_lease_ttl_s:
        findings.error("default_lease_ttl is longer than max_lease_ttl")
    if not settings.listeners:
        findings.error("no listener: at least one is wanted")
    check_seals(settings.seals, findings)
    _check_storage(settings, findings)
    settings = _with_addresses(settings, findings)
    if settings.storage.type == "raft" or (settings.ha_storage is not None and settings.ha_storage.type == "raft"):
        _check_raft(settings, findings)
    return settings


def _check_storage(settings: Settings, findings: Findings) -> None:
    ha_storage, storage = settings.ha_storage, settings.storage
    if ha_storage is not None and storage.type == "raft":
        findings.error("ha_storage cannot be declared when storage is of type raft")
    elif ha_storage is not None and ha_storage.type not in HIGHLY_AVAILABLE:
        findings.error(f'ha_storage "{ha_storage.type}" does not support HA')
    for stanza, wanted in ((storage, storage.type in ("file", "raft")), (ha_storage, ha_storage is not None and ha_storage.type == "raft")):
        if stanza is not None and wanted and not stanza.options.get("path"):
            findings.error(f"storage \"{stanza.type}\": 'path' must be set")
    if (storage.type in HIGHLY_AVAILABLE or ha_storage is not None) and not settings.api_addr:
        findings.warn("no api_addr in the configuration or in VAULT_API_ADDR: it is detected if possible, but should be set")


def _with_addresses(settings: Settings, findings: Findings) -> Settings:
    api_addr, cluster_addr = settings.api_addr, settings.cluster_addr
    if settings.disable_clustering:
        return replace(settings, cluster_addr="")
    try:
        if not cluster_addr and api_addr:
            cluster_addr = addresses.cluster_addr_of(api_addr)
    except ValueError as error:
        findings.error(str(error))
    if api_addr and api_addr == cluster_addr:
        findings.error(f"address {api_addr!r} used for both API and cluster addresses")
    return replace(settings, cluster_addr=addresses.with_https(cluster_addr) if cluster_addr else "")


def _check_raft(settings: Settings, findings: Findings) -> None:
    if settings.disable_clustering:
        findings.error("disable_clustering cannot be set to true when raft is the storage type")
    elif not settings.cluster_addr:
        findings.error("cluster address must be set when using raft storage: set cluster_addr or api_addr")
    elif addresses.is_unspecified(settings.cluster_addr):
        findings.error(f"cluster_addr {settings.cluster_addr!r} names no host that other nodes could reach")
    for stanza in (settings.storage, settings.ha_storage):
        if stanza is not None and stanza.type == "raft":
            check_raft_options(stanza, findings)
