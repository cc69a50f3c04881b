"""A mailbox for one value: the newest wins, readers that are slow miss the ones between."""

import asyncio
from typing import Generic, TypeVar

T = TypeVar("T")


class Latest(Generic[T]):
    """The newest value of something, for any number of readers in one event loop."""

    def __init__(self) -> None:
        self._value: T | None = None
        self._version = 0
        self._listeners: set[asyncio.Event] = set()

    @property
    def value(self) -> T | None:
        """Return the newest value, None before the first."""
        return self._value

    @property
    def version(self) -> int:
        """Return how many values there have been."""
        return self._version

    def put(self, value: T) -> None:
        """Replace the value and wake who listens."""
        self._value = value
        self._version += 1
        for event in self._listeners:
            event.set()

    def listen(self, event: asyncio.Event) -> None:
        """Have ``event`` set with each new value until ``ignore``."""
        self._listeners.add(event)

    def ignore(self, event: asyncio.Event) -> None:
        """Stop setting ``event``."""
        self._listeners.discard(event)
