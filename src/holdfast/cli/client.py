"""A client of the HTTP API: what Vault's Go client does on the wire, for one command.

1. Writes are PUT, lists are GET with `list=true`, every request carries `X-Vault-Request: true`.
2. One redirect is followed, with method, body and token, and never from https to http.
3. 412, 429 and 5xx but 501 are tried again as often as the settings say, and so is a connection that fails;
   a certificate that does not hold never.
"""
from __future__ import annotations

import posixpath
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import BinaryIO
from urllib.parse import quote, urlencode, urljoin, urlsplit

from holdfast.cli import json_text
from holdfast.cli.errors import ApiError, ExchangeError, Instead
from holdfast.cli.json_text import Json
from holdfast.cli.secret import Secret, mapping, parse_secret, strings
from holdfast.cli.settings import Settings
from holdfast.cli.transport import CannotConnect, HttpRequest, HttpResponse, Sink, Transport
from holdfast.limits import CLI_RETRY_WAIT_MS

Query = Sequence[tuple[str, str]]
_PATH_SAFE = "/$&+,:;=@-_.~"
_REDIRECTS = (301, 302, 307)
_MERGE_PATCH = "application/merge-patch+json"
WRAP_TTL = "5m"


class Client:
    """Requests below `/v1/`. All methods raise ExchangeError; ApiError where the server refused."""

    def __init__(self, settings: Settings, transport: Transport, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._settings = settings
        self._transport = transport
        self._sleep = sleep

    @property
    def token(self) -> str:
        return self._settings.token

    @property
    def address(self) -> str:
        return self._settings.address

    def using(self, *, token: str | None = None, namespace: str | None = None, wrap_ttl: str | None = None, show: bool = True) -> Client:
        """The same client with another token, namespace or wrapping; `show` False: its requests are made even under -output-curl-string."""
        settings = self._settings
        settings = replace(
            settings,
            token=settings.token if token is None else token,
            namespace=settings.namespace if namespace is None else namespace,
            wrap_ttl=settings.wrap_ttl if wrap_ttl is None else wrap_ttl,
            show_curl=settings.show_curl and show,
            show_policy=settings.show_policy and show,
        )
        return Client(settings, self._transport, sleep=self._sleep)

    def shows_request(self) -> bool:
        """Whether the caller asked to see the request instead of its result."""
        return self._settings.show_curl or self._settings.show_policy

    def read(self, path: str, query: Query = ()) -> Secret | None:
        """None: there is nothing at this path."""
        return self._secret("GET", path, query=query, missing_is_none=True)

    def list(self, path: str) -> Secret | None:
        """None: there is nothing below this path."""
        return self._secret("GET", path, query=[("list", "true")], missing_is_none=True)

    def write(self, path: str, data: Json) -> Secret | None:
        """None: written, and nothing to say. Data beside a 404 is carried by the error."""
        return self._secret("PUT", path, body=_encode(data))

    def patch(self, path: str, data: Json) -> Secret | None:
        """As `write`, with a JSON merge patch."""
        return self._secret("PATCH", path, body=_encode(data), content_type=_MERGE_PATCH)

    def delete(self, path: str, query: Query = ()) -> Secret | None:
        return self._secret("DELETE", path, query=query)

    def unwrap(self, wrapping_token: str) -> Secret | None:
        """What was wrapped: by this token, or if it is empty by the client's own."""
        client, body = self, b"null"
        if wrapping_token and not self.token:
            client = self.using(token=wrapping_token)
        elif wrapping_token and wrapping_token != self.token:
            body = _encode({"token": wrapping_token})
        return client._secret("PUT", "sys/wrapping/unwrap", body=body, missing_is_none=True)

    def call(self, method: str, path: str, data: Json = None) -> HttpResponse:
        """One of the fixed operations of `sys` and `auth/token`; a body only if there is data."""
        return self.exchange(method, path, body=None if data is None else _encode(data))

    def fetch(self, method: str, path: str, data: Json = None) -> Secret | None:
        """As `call`, the answer read as a secret."""
        return parse_secret(self.call(method, path, data).body)

    def download(self, path: str, sink: Sink) -> None:
        """An answer of any size."""
        self.exchange("GET", path, sink=sink)

    def upload(self, path: str, file: BinaryIO) -> None:
        """A file of any size."""
        self.exchange("POST", path, upload=file)

    def _secret(
        self, method: str, path: str, *, query: Query = (), body: bytes | None = None, content_type: str = "", missing_is_none: bool = False
    ) -> Secret | None:
        try:
            response = self.exchange(method, path, query=query, body=body, content_type=content_type)
        except ApiError as error:
            if error.status != 404:
                raise
            error.secret = _beside_404(error)
            if missing_is_none:
                return error.secret
            raise
        return parse_secret(response.body)

    def exchange(
        self, method: str, path: str, *, query: Query = (), body: bytes | None = None, content_type: str = "",
        upload: BinaryIO | None = None, sink: Sink | None = None
    ) -> HttpResponse:
        """One request and its answer, whatever is in it. Raises ApiError for an error status."""
        headers = self._headers(method, path, content_type)
        request = HttpRequest(method=method, url=self._url(path, query), headers=headers, body=body, upload=upload, sink=sink)
        if not self.token.isprintable():
            raise ExchangeError("configured Vault token contains non-printable characters and cannot be used")
        if self._settings.show_curl:
            raise Instead(_curl(request, self._settings))
        if self._settings.show_policy:
            raise Instead(_policy(request))
        response = self._try(request)
        if response.status in _REDIRECTS and self._settings.redirects:
            request = replace(request, url=_location(request, response))
            response = self._try(request)
        if not 200 <= response.status < 400 and not (response.status == 429 and path == "sys/health"):
            raise _api_error(request, response)
        return response

    def _url(self, path: str, query: Query) -> str:
        address = self._settings.address
        try:
            base = urlsplit("http://localhost" if address.startswith("unix://") else address)
        except ValueError as error:
            raise ExchangeError(f'parse "{address}": {error}') from error
        if "://" not in address:
            raise ExchangeError(f'parse "{address}": the address begins with neither http:// nor https:// nor unix://')
        joined = posixpath.normpath(posixpath.join("/", base.path, "v1", path.lstrip("/")))
        url = f"{base.scheme}://{base.netloc}{quote(joined, safe=_PATH_SAFE)}"
        return f"{url}?{urlencode(sorted(query, key=lambda item: item[0]))}" if query else url

    def _headers(self, method: str, path: str, content_type: str) -> tuple[tuple[str, str], ...]:
        settings = self._settings
        wrap_ttl = settings.wrap_ttl or (WRAP_TTL if method in ("PUT", "POST") and path == "sys/wrapping/wrap" else "")
        headers = [
            ("Content-Type", content_type),
            ("X-Vault-Namespace", settings.namespace),
            ("X-Vault-Policy-Override", "true" if settings.policy_override else ""),
            ("X-Vault-Request", "true"),
            ("X-Vault-Token", settings.token),
            ("X-Vault-Wrap-TTL", wrap_ttl),
            *(("X-Vault-MFA", value) for value in settings.mfa),
        ]
        return (*(item for item in headers if item[1]), *settings.headers)

    def _try(self, request: HttpRequest) -> HttpResponse:
        """With retries; after the last one whatever came counts."""
        for attempt in range(1, self._settings.retries_max + 1):
            try:
                response = self._transport.send(request)
                if not _is_temporary(response.status):
                    return response
            except CannotConnect:
                pass
            self._sleep(attempt * random.uniform(*CLI_RETRY_WAIT_MS) / 1_000)
        return self._transport.send(request)


def _is_temporary(status: int) -> bool:
    return status in (412, 429) or (status >= 500 and status != 501)


def _encode(data: Json) -> bytes:
    return json_text.encode(data).encode("utf-8")


def _location(request: HttpRequest, response: HttpResponse) -> str:
    location = response.headers.get("location", "")
    if not location:
        raise ExchangeError("http: no Location header in response")
    url = urljoin(request.url, location)
    if urlsplit(request.url).scheme == "https" and urlsplit(url).scheme != "https":
        raise ExchangeError("redirect would cause protocol downgrade")
    return url


def _api_error(request: HttpRequest, response: HttpResponse) -> ApiError:
    raw = response.body.decode("utf-8", "replace")
    try:
        body = mapping(json_text.parse(response.body))
    except ExchangeError:
        body = None
    return ApiError(
        method=request.method,
        url=request.url,
        status=response.status,
        errors=(raw,) if body is None else strings(body.get("errors")) or (),
        raw=body is None,
        namespace=response.headers.get("x-vault-namespace", ""),
        body=response.body,
    )


def _beside_404(error: ApiError) -> Secret | None:
    """Data or warnings that came with a 404: a deleted version of a secret, say."""
    secret = parse_secret(error.body)
    return secret if secret is not None and (secret.warnings or secret.data) else None


def _curl(request: HttpRequest, settings: Settings) -> str:
    """The request as a command for curl; the token is not in it."""
    tls = settings.tls
    parts = ["curl"]
    if tls.skip_verify:
        parts.append("--insecure")
    if request.method != "GET":
        parts.append(f"-X {request.method}")
    files = (("--cacert", tls.ca_cert), ("--capath", tls.ca_path), ("--cert", tls.client_cert), ("--key", tls.client_key))
    parts += [f"{option} {_shell(file)}" for option, file in files if file]
    if settings.address.startswith("unix://"):
        parts.append(f"--unix-socket {_shell(settings.address.removeprefix('unix://'))}")
    for name, value in request.headers:
        shown = "$(holdfast print token)" if name == "X-Vault-Token" else value.replace('"', '\\"')
        parts.append(f'-H "{name}: {shown}"')
    if request.body:
        parts.append(f"-d {_shell(request.body.decode())}")
    return " ".join([*parts, request.url])


def _shell(text: str) -> str:
    return "'" + text.replace("'", "'\"'\"'") + "'"


_CAPABILITIES = {"GET": ("read",), "POST": ("create", "update"), "PUT": ("create", "update"), "PATCH": ("patch",), "DELETE": ("delete",)}


def _policy(request: HttpRequest) -> str:
    """The least policy that lets this request through."""
    from holdfast.cli.sudo_paths import needs_sudo

    parts = urlsplit(request.url)
    path = parts.path.partition("/v1/")[2]
    capabilities = ("list",) if "list=true" in parts.query.split("&") else _CAPABILITIES[request.method]
    if needs_sudo(path):
        capabilities = (*capabilities, "sudo")
    named = '", "'.join(capabilities)
    return f'path "{path}" {{\n  capabilities = ["{named}"]\n}}'
