"""A wire between controller and agent that can be cut without either end being told."""

import contextlib
import select
import socket
import threading


class Wire:
    """Forwards connections to a port of the loopback interface until it is cut.

    Args:
        port: Where to.
    """

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._cut = threading.Event()
        self._ends = threading.Event()
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """Lose everything from now on; connections stay open, as over a dead switch."""
        self._cut.set()

    def mend(self) -> None:
        """Forward again; what was lost stays lost, so old connections are of no use."""
        for end in list(self._pairs):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._cut.clear()

    def close(self) -> None:
        """End."""
        self._ends.set()
        self._thread.join()
        for end in [*self._pairs, self._listener]:
            end.close()

    def _run(self) -> None:
        while not self._ends.is_set():
            ready, _, _ = select.select([self._listener, *self._pairs], [], [], 0.05)
            for end in ready:
                if end is self._listener:
                    self._accept()
                elif end in self._pairs:
                    self._forward(end)

    def _accept(self) -> None:
        near, _ = self._listener.accept()
        try:
            far = socket.create_connection(self._target, timeout=1.0)
        except OSError:
            near.close()
            return
        self._pairs[near], self._pairs[far] = far, near

    def _forward(self, end: socket.socket) -> None:
        other = self._pairs[end]
        try:
            data = end.recv(1 << 16)
            if data and not self._cut.is_set():
                other.sendall(data)
        except OSError:
            data = b""
        if not data:
            for side in (end, other):
                self._pairs.pop(side, None)
                side.close()
