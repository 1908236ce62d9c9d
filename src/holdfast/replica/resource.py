"""What is opened from values of the replica and must be closed: audit files, database pools.

Invariant: what `current` gives was opened from the settings of the state asked about, never from older ones.
"""
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from holdfast.replica.reader import Reader

S = TypeVar("S")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Resource(Protocol, Generic[T_co]):
    """A Derived with open and close: reopened when what it was opened from changes."""

    def current(self, reader: Reader) -> T_co:
        """The thing as this state wants it."""

    def close(self) -> None:
        """Closes what is open; twice is once."""


class Opened(Generic[S, T]):
    """A Resource made of three functions. `settings` reads them, as a derived value; equal settings keep what is open."""

    def __init__(self, settings: Callable[[Reader], S], opening: Callable[[S], T], closing: Callable[[T], None]) -> None:
        self._settings, self._opening, self._closing = settings, opening, closing
        self._open: tuple[S, T] | None = None

    def current(self, reader: Reader) -> T:
        """Raises what opening raises; the old one is closed all the same, and the next call opens anew."""
        settings = self._settings(reader)
        if self._open is not None:
            of, thing = self._open
            if of is settings or of == settings:
                return thing
            self.close()
        thing = self._opening(settings)
        self._open = settings, thing
        return thing

    def close(self) -> None:
        if self._open is not None:
            (_, thing), self._open = self._open, None
            self._closing(thing)
