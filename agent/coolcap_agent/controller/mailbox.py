"""What waits to go out to one agent: a place each for a command and a renewal, the newest wins."""

import asyncio
from typing import Generic, TypeVar

Request = TypeVar("Request")


class Mailbox(Generic[Request]):
    """The mailbox of one connection."""

    def __init__(self) -> None:
        self.wake = asyncio.Event()
        self.renew_due = False
        self.command: tuple[int, Request] | None = None
        self.closed = False

    def close(self) -> None:
        """Let whoever reads it end: gRPC goes on reading after a connection has ended."""
        self.closed = True
        self.wake.set()
