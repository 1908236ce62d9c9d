"""Auth methods, a module or a folder each."""
from holdfast.auth.userpass import USERPASS

__all__ = ["USERPASS"]
