"""Secrets engines, a module or a folder each."""
from holdfast.secrets.cubbyhole import CUBBYHOLE
from holdfast.secrets.kv_v1 import KV_V1
from holdfast.secrets.kv_v2 import KV_V2

__all__ = ["CUBBYHOLE", "KV_V1", "KV_V2"]
