"""identity/: the mount of the identity store. Entities and aliases are made at login (`core/identity`); nothing of them can be asked for or
changed yet, so every path below answers that it is not supported. Source: Vault API, "/identity".
"""
from holdfast.engine import Engine

IDENTITY = Engine(type="identity", at_root=True, routes=())
