"""Configuration files to typed settings: HCL and JSON, Vault's keys and units."""
from holdfast.config.addresses import detected_api_addr
from holdfast.config.finding import ConfigError, Finding
from holdfast.config.raft import RaftSettings, RetryJoin, raft_settings, with_files
from holdfast.config.read import Loaded, dev_settings, load
from holdfast.config.static_seal import SealKeys, seal_keys

__all__ = ["ConfigError", "Finding", "Loaded", "RaftSettings", "RetryJoin", "SealKeys", "detected_api_addr", "dev_settings", "load",
           "raft_settings", "seal_keys", "with_files"]
