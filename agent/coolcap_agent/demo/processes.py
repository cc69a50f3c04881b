"""Start the daemons as real processes, watch them, and end them by their process id."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

from coolcap_envs.contract.errors import CoolcapError

STOP_TIMEOUT_S = 10.0
"""A daemon that restores caps and closes its files needs about 1 s; after this it is killed."""


class DemoError(CoolcapError):
    """A process of the demonstration failed; says which and where its log is."""


def free_port() -> int:
    """Return a TCP port of the loopback interface nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Processes:
    """Daemons under one roof: all end when the context ends.

    Args:
        log_dir: Folder for one log file per process.
    """

    def __init__(self, log_dir: Path) -> None:
        self._log_dir = log_dir
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *arguments: str, module: str = "coolcap_agent") -> None:
        """Start ``coolcap``, or another module, with ``arguments``; it writes to ``<name>.log``.

        A process of that name that has ended before is started anew.
        """
        if name in self._running:
            self._running[name].wait(STOP_TIMEOUT_S)
        self._log_dir.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "GRPC_VERBOSITY": "ERROR"}
        with (self._log_dir / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,  # Ctrl-C reaches the demo alone, which then ends them
            )

    def pid(self, name: str) -> int:
        """Return the process id of a daemon."""
        return self._running[name].pid

    def alive(self, name: str) -> bool:
        """Return whether a daemon still runs."""
        return self._running[name].poll() is None

    def check(self) -> None:
        """Raise if any daemon has failed.

        Raises:
            DemoError: Names the process, its exit status and the end of its log.
        """
        for name, process in self._running.items():
            status = process.poll()
            if status not in (None, 0):
                path = self._log_dir / f"{name}.log"
                tail = "\n".join(path.read_text(errors="replace").splitlines()[-5:])
                raise DemoError(f"{name} ended with status {status}; the end of {path}:\n{tail}")

    def wait_for(self, what: str, ready: Callable[[], bool], *, timeout_s: float) -> None:
        """Wait until ``ready`` returns true.

        Raises:
            DemoError: If a daemon fails meanwhile or the time is over.
        """
        deadline = time.monotonic() + timeout_s
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise DemoError(f"{what} took longer than {timeout_s:g} s; logs: {self._log_dir}")
            time.sleep(0.05)

    def stop(self, name: str) -> None:
        """End one daemon: SIGTERM, and SIGKILL if it does not follow in time."""
        process = self._running[name]
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def stop_all(self) -> None:
        """End every daemon, the last started first."""
        for name in reversed(self._running):
            self.stop(name)

    def __enter__(self) -> "Processes":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop_all()


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Turn SIGTERM into KeyboardInterrupt, so that daemons are ended on either."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
