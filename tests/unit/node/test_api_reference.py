"""docs/api.md says what is routed, no more and no less."""
from pathlib import Path

from holdfast.node.api_reference import api_reference

DOCUMENT = Path(__file__).parents[3] / "docs" / "api.md"


def test_the_document_is_made_from_the_tables() -> None:
    assert DOCUMENT.read_text() == api_reference(), "make it anew: python -m holdfast.node.api_reference > docs/api.md"
