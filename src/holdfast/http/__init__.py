"""Bytes to Request, Reply to bytes: listeners, TLS, the connection."""
from holdfast.http.listener import Listening, listen
from holdfast.http.place import Handler, Held
from holdfast.http.tls import TlsConfig, TlsError, make_tls

__all__ = ["Handler", "Held", "Listening", "TlsConfig", "TlsError", "listen", "make_tls"]
