"""Bytes to Request, Reply to bytes: listeners, TLS, the connection."""
from holdfast.http.listener import Listening, listen
from holdfast.http.place import Handler, Held
from holdfast.http.tls import TlsConfig, TlsError, make_tls
from holdfast.http.upload import Admission, Uploads

__all__ = ["Admission", "Handler", "Held", "Listening", "TlsConfig", "TlsError", "Uploads", "listen", "make_tls"]
