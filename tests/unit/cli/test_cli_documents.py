"""What documents and help tell people to type: commands that exist, with flags that they have."""
from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from holdfast.cli import registry
from holdfast.cli.flags import parse

ROOT = Path(__file__).parents[3]
DOCUMENTS = (ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md")))
TYPED = re.compile(r"(?:^[ $]*|`)(?:\.venv/bin/)?holdfast ([^`\n]+)", re.MULTILINE)
PLACES = re.compile(r"<[^>]*>|[\[\]…]")              # `<user>` stands for something; brackets and dots are no part of a command


def lines(text: str) -> list[str]:
    return [found.partition("  #")[0].removesuffix(" &").strip() for found in TYPED.findall(text)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_in_documents_exist(document: Path) -> None:
    for line in lines(document.read_text()):
        check(line)


def test_they_are_found() -> None:
    """The examples of every command's help are on the page of commands."""
    assert len(lines((ROOT / "docs/commands.md").read_text())) > 100
    assert "operator unseal -migrate" in lines((ROOT / "docs/operations.md").read_text())


def check(line: str) -> None:
    words = shlex.split(PLACES.sub("", line))
    if words[0] == "COMMAND" or any("K=V" in word or word in ("options", "PATH", "KEY") or word.startswith("subcommand") for word in words):
        return                                       # a line of usage
    known = 0
    while known < len(words) and registry.knows(" ".join(words[:known + 1])):
        known += 1
    command = registry.find(" ".join(words[:known]))
    assert command is not None, line
    if command.run is None:
        assert known == len(words), f"{line}: no such command below {command.name}"
    else:
        parse(command.options, words[known:], {})
