"""Bytes to Request, Reply to bytes: listeners, TLS, the connection."""
from holdfast.http.listener import Listening, listen
from holdfast.http.place import Handler
from holdfast.http.tls import TlsConfig, TlsError, make_tls

__all__ = ["Handler", "Listening", "TlsConfig", "TlsError", "listen", "make_tls"]
