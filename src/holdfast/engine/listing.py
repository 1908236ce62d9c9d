"""What many engines take and give alike: no field at all, and names."""
from collections.abc import Iterable

from holdfast.engine.request import Input, Output, Response
from holdfast.errors import NotFound


class Nothing(Input, frozen=True):
    """No field."""


class Keys(Output, frozen=True):
    keys: tuple[str, ...]


def listing(keys: Iterable[str]) -> Response:
    """The answer to LIST. Raises NotFound when there are none, as Vault answers."""
    found = tuple(keys)
    if not found:
        raise NotFound
    return Response(data=Keys(keys=found))
