"""docs/operations.md against the code: it names every metric and every error of the log, and none that is not there."""
from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/operations.md").read_text()
CODE = "\n".join(file.read_text() for file in sorted((ROOT / "src/holdfast").rglob("*.py")))
NAME = re.compile(r"`([a-zA-Z_.-]+)`")
MEASURED = re.compile(r"""(?:\.counter|\.gauge|\.summary|took)\((?:self\._main\.metrics, )?"([\w.-]+)\"""")
AN_ERROR = re.compile(r"""\.error\(\s*"([a-z_]+\.[a-z_]+)\"""")
STATS = {"raft_storage.stats." + name for name in ("applied_index", "commit_index", "fsm_pending", "term")}
"""Their names are put together where they are measured."""


def rows(head: str) -> set[str]:
    """The names in the first column of a table."""
    _, _, table = PAGE.partition(f"| {head} | ")
    return {name for line in table.partition("\n\n")[0].splitlines()[2:] for name in NAME.findall(line.split(" | ")[0])}


def test_every_metric_stands_on_the_page_and_every_metric_of_the_page_is_measured() -> None:
    measured, named = set(MEASURED.findall(CODE)), {name.removeprefix("vault.") for name in rows("metric")}
    assert len(measured) > 30
    assert measured <= named
    assert {name for name in named if f'"{name}"' not in CODE} == STATS


def test_every_error_of_the_log_stands_on_the_page_and_every_event_of_the_page_is_logged() -> None:
    events = rows("log event")
    assert set(AN_ERROR.findall(CODE)) <= events
    assert {name for name in events if f'"{name}"' not in CODE} == set()
