"""KV version 2: secrets with versions."""
from holdfast.secrets.kv_v2.engine import KV_V2

__all__ = ["KV_V2"]
