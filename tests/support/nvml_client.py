"""A process that uses the simulated NVML through nvidia-ml-py, and takes its calls from a test.

The library is found through the environment a process starts with, so the test's own process
cannot load it, and should not: others test what happens without it.
"""

import ctypes
import pickle
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from coolcap_agent.nvml_simulator.environment import client_environment

TESTS = Path(__file__).parents[1]


class NvmlError(Exception):
    """What nvidia-ml-py raised; ``code`` is NVML's number, ``text`` the library's."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"NVML error {code}: {text}")
        self.code, self.text = code, text


@dataclass(frozen=True)
class Gpu:
    """Stands for a handle: that of the GPU at this position."""

    position: int


@dataclass(frozen=True)
class Kept:
    """Stands for a pointer the process keeps, such as an event set."""

    number: int


class NvmlClient:
    """Calls functions of nvidia-ml-py in a process of its own."""

    def __init__(self, hall: Path, node: str) -> None:
        environment = client_environment(hall, node)
        environment["PYTHONPATH"] = str(TESTS)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.nvml_client"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._errors: list[str] = []

    def call(self, function: str, *arguments: object) -> Any:
        """Return what ``pynvml.<function>`` returned: records as dicts, handles as ``Gpu``."""
        self.begin(function, *arguments)
        return self.finish()

    def begin(self, function: str, *arguments: object) -> None:
        """Start a call and return at once."""
        assert self._process.stdin is not None
        pickle.dump((function, arguments), self._process.stdin)
        self._process.stdin.flush()

    def finish(self) -> Any:
        """Return what the call that was begun returned."""
        assert self._process.stdout is not None
        succeeded, answer = pickle.load(self._process.stdout)
        if not succeeded:
            raise NvmlError(*answer)
        return answer

    def code(self, function: str, *arguments: object) -> int:
        """Return NVML's number for the result of a call; 0 for success."""
        try:
            self.call(function, *arguments)
        except NvmlError as error:
            return error.code
        return 0

    def close(self) -> str:
        """End the process and return what it and the library wrote to standard error."""
        if not self._errors:
            _, errors = self._process.communicate(timeout=30)
            self._errors = [errors.decode()]
        return self._errors[0]


class _Server:
    """The other side: resolves stand-ins, calls, and makes answers that can be sent."""

    def __init__(self, pynvml: Any) -> None:
        self._pynvml = pynvml
        self._handles: dict[int, Any] = {}
        self._kept: list[Any] = []

    def _resolve(self, argument: object) -> object:
        if isinstance(argument, Gpu):
            if argument.position not in self._handles:
                handle = self._pynvml.nvmlDeviceGetHandleByIndex(argument.position)
                self._handles[argument.position] = handle
            return self._handles[argument.position]
        return self._kept[argument.number] if isinstance(argument, Kept) else argument

    def _sendable(self, value: Any) -> object:
        if isinstance(value, ctypes.Array | list | tuple):
            return [self._sendable(part) for part in value]
        if isinstance(value, ctypes.Structure | ctypes.Union):
            fields: list[str] = [field[0] for field in value._fields_]
            return {name: self._sendable(getattr(value, name)) for name in fields}
        if isinstance(value, ctypes._SimpleCData):
            return value.value
        if isinstance(value, ctypes._Pointer):
            return self._stand_in(value)
        return value

    def _stand_in(self, pointer: Any) -> object:
        address = ctypes.cast(pointer, ctypes.c_void_p).value
        for position, handle in self._handles.items():
            if ctypes.cast(handle, ctypes.c_void_p).value == address:
                return Gpu(position)
        self._kept.append(pointer)
        return Kept(len(self._kept) - 1)

    def answer(self, function: str, arguments: tuple[object, ...]) -> tuple[bool, object]:
        if function == "nvmlInit":
            self._handles.clear()  # they may be of another hall
        try:
            resolved = [self._resolve(argument) for argument in arguments]
            return True, self._sendable(getattr(self._pynvml, function)(*resolved))
        except self._pynvml.NVMLError as error:
            return False, (error.value, str(error))

    def serve(self, calls: BinaryIO, answers: BinaryIO) -> None:
        while True:
            try:
                function, arguments = pickle.load(calls)
            except EOFError:
                return
            pickle.dump(self.answer(function, arguments), answers)
            answers.flush()


if __name__ == "__main__":
    import pynvml

    import support.nvml_client as module  # its classes, not those of __main__, are what is pickled

    module._Server(pynvml).serve(sys.stdin.buffer, sys.stdout.buffer)
