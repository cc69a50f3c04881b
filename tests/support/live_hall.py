"""A hall whose frames come by the host's clock, for programs that measure by theirs."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from support.small_hall import SmallHall

FRAME_S = 0.1
"""How often power readings of current GPUs are refreshed."""


@contextmanager
def running(small: SmallHall) -> Iterator[None]:
    """Let the plant of ``small`` work in real time, a frame every 100 ms, until the block ends."""
    stopped = threading.Event()

    def run() -> None:
        while not stopped.wait(FRAME_S):
            small.advance(FRAME_S)

    host = threading.Thread(target=run)
    host.start()
    try:
        yield
    finally:
        stopped.set()
        host.join()
