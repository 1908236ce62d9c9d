"""The command line with everything around it replaced: a terminal, an environment, a server of canned answers."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest

from holdfast.cli.client import Client
from holdfast.cli.main import run
from holdfast.cli.settings import Settings
from holdfast.cli.terminal import NoTerminalError
from holdfast.cli.transport import CannotConnect, HttpRequest, HttpResponse

ADDRESS = "https://127.0.0.1:8200"


@dataclass
class FakeTerminal:
    """Collects what is printed; answers questions with `hidden`, or as a pipe if there is none."""

    stdin: bytes = b""
    hidden: list[str] = field(default_factory=list)
    tty: bool = False
    stdout: str = ""
    stderr: str = ""

    def out(self, text: str) -> None:
        self.stdout += text

    def err(self, text: str) -> None:
        self.stderr += text

    def flush(self) -> None:
        pass

    def read_stdin(self) -> bytes:
        return self.stdin

    def is_terminal(self) -> bool:
        return self.tty

    def input_is_terminal(self) -> bool:
        return self.tty

    def ask_secret(self, question: str) -> str:
        if not self.hidden:
            raise NoTerminalError("stdin is not a terminal")
        self.err(question + "\n")
        return self.hidden.pop(0)


@dataclass
class FakeServer:
    """Answers by method and target; what it has no answer for is an unknown path. A list gives its answers one after the other."""

    answers: dict[str, list[HttpResponse]] = field(default_factory=dict)
    requests: list[HttpRequest] = field(default_factory=list)
    settings: list[Settings] = field(default_factory=list)
    uploads: list[bytes] = field(default_factory=list)
    is_down: bool = False

    def on(self, target: str, body: object = None, *, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        """`target` as `GET sys/init` or `GET sys/policies/acl?list=true`. Bytes are sent as they are; None with 200 becomes a 204."""
        raw = body if isinstance(body, bytes) else b"" if body is None else msgspec.json.encode(body)
        response = HttpResponse(status=204 if body is None and status == 200 else status, headers=dict(headers or {}), body=raw)
        self.answers.setdefault(target, []).append(response)

    def send(self, request: HttpRequest) -> HttpResponse:
        self.requests.append(request)
        if self.is_down:
            raise CannotConnect(f'Get "{request.url}": dial tcp 127.0.0.1:8200: connect: connection refused')
        parts = urlsplit(request.url)
        query = f"?{parts.query}" if parts.query else ""
        answers = self.answers.get(f"{request.method} {parts.path.removeprefix('/v1/')}{query}")
        if not answers:
            return HttpResponse(status=404, body=b'{"errors":["no handler for route"]}')
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if request.upload is not None:
            request.upload.seek(0)
            self.uploads.append(request.upload.read())
        if request.sink is not None and answer.status == 200:
            request.sink.begin()
            for at in range(0, len(answer.body), 1_000):
                request.sink.write(answer.body[at : at + 1_000])
        return answer

    def sent(self, at: int = -1) -> tuple[str, str, object]:
        """Method, target and JSON body of a request."""
        request = self.requests[at]
        parts = urlsplit(request.url)
        target = parts.path.removeprefix("/v1/") + (f"?{parts.query}" if parts.query else "")
        return request.method, target, None if request.body is None else msgspec.json.decode(request.body)

    def header(self, name: str, at: int = -1) -> str | None:
        return dict(self.requests[at].headers).get(name)


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


@dataclass
class CommandLine:
    """`cli("kv get secret/app")`: one run of the program."""

    home: Path
    server: FakeServer = field(default_factory=FakeServer)
    env: dict[str, str] = field(default_factory=dict)
    slept: list[float] = field(default_factory=list)

    def __call__(self, line: str, *, stdin: bytes = b"", hidden: tuple[str, ...] = (), tty: bool = False) -> Result:
        terminal = FakeTerminal(stdin=stdin, hidden=list(hidden), tty=tty)
        code = run(shlex.split(line), env=self.env, terminal=terminal, make_client=self.client)
        return Result(code, terminal.stdout, terminal.stderr)

    def client(self, settings: Settings) -> Client:
        self.server.settings.append(settings)
        return Client(settings, self.server, sleep=self.slept.append)

    @property
    def token_file(self) -> Path:
        return self.home / ".vault-token"


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    return CommandLine(home=tmp_path, env={"HOME": str(tmp_path), "VAULT_TOKEN": "hvs.root"})
