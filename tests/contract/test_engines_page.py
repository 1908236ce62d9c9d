"""The example in docs/engines.md is a whole engine."""
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from tests.contract.runner import Runner

from holdfast.engine import Engine, Place

PAGE = Path(__file__).parents[2] / "docs" / "engines.md"


def test_the_example_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    code = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert code is not None
    module = ModuleType("notes_example")
    monkeypatch.setitem(sys.modules, module.__name__, module)    # records look their annotations up in it
    exec(compile(code[1], str(PAGE), "exec"), module.__dict__)
    engine = module.NOTES_ENGINE
    assert isinstance(engine, Engine)
    notes = Runner(engine)
    assert notes.get("note/a").status == 404
    assert notes.post("note/a", {"text": "hi"}, place=Place.WORKER).need is not None
    assert notes.post("note/a", {"text": "hi"}).status == 204
    assert notes.get("note/a", place=Place.WORKER).data == {"text": "hi"}
    assert notes.post("note/a", {}).status == 400
