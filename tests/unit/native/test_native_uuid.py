"""Random UUIDs as text."""
import uuid

from hypothesis import given
from hypothesis import strategies as st

from holdfast._native import uuids


@given(random=st.binary(max_size=100))
def test_each_16_bytes_are_a_uuid_of_version_4(random: bytes) -> None:
    whole = len(random) // 16
    assert uuids(random) == [str(uuid.UUID(bytes=random[16 * at:16 * at + 16], version=4)) for at in range(whole)]
