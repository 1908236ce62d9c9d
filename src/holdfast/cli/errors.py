"""How a command fails: the text for stderr and the exit code.

1. Exit code 1 is the caller's command line, 2 is what the server or the way to it said; `status` and `operator init -status` differ.
2. No message holds a token, a key share or a password.
"""
from __future__ import annotations

from types import TracebackType

from holdfast.cli.exchange import ExchangeError
from holdfast.cli.secret import Secret
from holdfast.errors import HoldfastError

__all__ = ["API", "USAGE", "ApiError", "ExchangeError", "Explained", "Failure", "Instead"]

USAGE = 1
API = 2


class ApiError(ExchangeError):
    """The server answered with an error status. Printed in the form that Vault's Go client gives it."""

    def __init__(self, *, method: str, url: str, status: int, errors: tuple[str, ...], raw: bool, namespace: str, body: bytes) -> None:
        super().__init__(_api_text(method, url, status, errors, raw=raw, namespace=namespace))
        self.status = status
        self.errors = errors
        self.body = body
        self.secret: Secret | None = None


def _api_text(method: str, url: str, status: int, errors: tuple[str, ...], *, raw: bool, namespace: str) -> str:
    where = f"Namespace: {namespace}\n" if namespace not in ("", "root/") else ""
    kind = "Raw Message" if raw else "Errors"
    body = errors[0] if raw and errors else "".join(f"* {error}" for error in errors)
    return f"Error making API request.\n\n{where}URL: {method} {url}\nCode: {status}. {kind}:\n\n{body}"


class Failure(HoldfastError):
    """A command ends here: `message` goes to stderr, `secret` (if the server sent data beside its error) to stdout."""

    def __init__(self, message: str, code: int = USAGE, *, secret: Secret | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.secret = secret


class Instead(HoldfastError):
    """Ends a command before its request is sent, because the caller asked to see the request: `text` goes to stdout, exit code 0."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class Explained:
    """`with Explained("Error reading x"):` turns a failed exchange inside into a Failure that begins with these words."""

    def __init__(self, prefix: str, code: int = API) -> None:
        self._prefix = prefix
        self._code = code

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, ExchangeError):
            secret = error.secret if isinstance(error, ApiError) else None
            text = f"{self._prefix}: {error}" if self._prefix else str(error)
            raise Failure(text, self._code, secret=secret) from error
