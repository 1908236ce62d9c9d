"""The cluster port: identities, protocols, frames, links between nodes. Knows no message."""
from holdfast.cluster.frame import FRAME_VERSION, Bounds
from holdfast.cluster.hello import Hello
from holdfast.cluster.identity import Credentials, Identity, new_identity
from holdfast.cluster.mesh import Mesh
from holdfast.cluster.port import Alpn, Link, LinkError, Port, Receiver
from holdfast.cluster.stream import Incoming, Streams
from holdfast.cluster.tls_port import TlsPort

__all__ = [
    "FRAME_VERSION",
    "Alpn",
    "Bounds",
    "Credentials",
    "Hello",
    "Identity",
    "Incoming",
    "Link",
    "LinkError",
    "Mesh",
    "Port",
    "Receiver",
    "Streams",
    "TlsPort",
    "new_identity",
]
