"""The engines of this program. A new one is one more name here."""
from holdfast.auth import USERPASS
from holdfast.engine import Engine
from holdfast.secrets import CUBBYHOLE, KV_V1, KV_V2

ENGINES: tuple[Engine, ...] = (CUBBYHOLE, KV_V1, KV_V2, USERPASS)
