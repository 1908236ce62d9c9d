"""What a prefix mark means."""
import pytest

from holdfast.core.marks import PrefixMark, is_marked
from holdfast.ids import Index

MARK = PrefixMark(prefix="db/creds/", index=Index(10))


@pytest.mark.parametrize(("path", "index", "dead"), [
    ("db/creds/a/x", 10, True), ("db/creds/a/x", 1, True), ("db/creds/a/x", 11, False), ("db/creds/", 10, True), ("db/creds", 10, False),
    ("db/credsy/x", 10, False), ("other/db/creds/x", 10, False), ("", 10, False)])
def test_below_the_prefix_and_no_newer(path: str, index: int, dead: bool) -> None:
    assert MARK.covers(path, Index(index)) is dead
    assert is_marked((MARK,), path, Index(index)) is dead
    assert not is_marked((), path, Index(index))
