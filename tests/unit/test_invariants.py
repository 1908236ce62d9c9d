"""The invariants of ARCHITECTURE.md are cited by tests, as it says, by the numbers that they have there."""
import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
CITED = re.compile(r"\bInvariants? (\d+(?: and \d+)*)")


def test_every_invariant_is_cited_and_every_citation_is_of_one() -> None:
    _, _, page = (TESTS.parent / "ARCHITECTURE.md").read_text().partition("## Invariants\n")
    stated = set(re.findall(r"^(\d+)\. ", page.partition("\n## ")[0], re.MULTILINE))
    cited = {number for file in TESTS.rglob("test_*.py") for found in CITED.findall(file.read_text()) for number in found.split(" and ")}
    assert stated == cited
