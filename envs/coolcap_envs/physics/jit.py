"""Compilation of the physics: what every law and kernel is decorated with.

Numba's cache of a kernel does not notice that a law it calls was edited: a cached kernel went on
computing the old law. So the cache lives in a folder named after the hash of all their sources.
Laws are plain functions called with keywords; Numba cannot compile calls of functions whose
parameters are keyword-only, which is why they lack the ``*``.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import numba
from numba.core import config

Function = TypeVar("Function", bound=Callable[..., object])

_PACKAGE: Final = Path(__file__).parent.parent
_SOURCES: Final = tuple(_PACKAGE / name for name in ("physics", "compiled"))
_MODULES: Final = (
    *(f"contract/{name}.py" for name in ("action", "elementwise", "levers", "observation")),
    "contract/signals.py",
    *(f"safety/{name}.py" for name in ("budget", "budget_tree", "coolant", "shield")),
    *(f"safety/{name}.py" for name in ("trim_respond", "worth")),
    "reward.py",
    "weather.py",
    "workload/demand.py",
)
"""What kernels are compiled from beside the folders: rule, shield, encoder and reward."""
_CONFIG: Final = cast("Any", config)


def source_hash(*folders: Path) -> str:
    """Return a hash over the text of all Python files of ``folders``; by default all sources."""
    files = [path for folder in folders or _SOURCES for path in sorted(folder.glob("*.py"))]
    if not folders:
        files += [_PACKAGE / name for name in _MODULES]
    digest = hashlib.sha1(usedforsecurity=False)
    for path in files:
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def cache_folder() -> Path:
    """Return where compiled code is kept, under ``NUMBA_CACHE_DIR`` or the user's cache."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    base = Path(os.environ.get("NUMBA_CACHE_DIR") or Path(home) / "coolcap" / "numba")
    try:
        base.mkdir(parents=True, exist_ok=True)
        writable = os.access(base, os.W_OK)
    except OSError:
        writable = False
    if not writable:
        base = Path(tempfile.gettempdir()) / f"coolcap-numba-{os.getuid()}"
    return base / source_hash()


_CACHE_FOLDER: Final = str(cache_folder())


def _compile(function: Function, *, parallel: bool = False, inline: bool = False) -> Function:
    before = _CONFIG.CACHE_DIR
    _CONFIG.CACHE_DIR = _CACHE_FOLDER  # read once, when caching is switched on for a function
    try:
        # error_model: a division by zero gives inf as in NumPy, without a branch per division.
        jit = cast("Any", numba.njit)(
            cache=True,
            nogil=True,
            error_model="numpy",
            fastmath=False,
            parallel=parallel,
            forceinline=inline,
        )
        return cast("Function", jit(function))
    finally:
        _CONFIG.CACHE_DIR = before


def is_compiled() -> bool:
    """Return whether kernels run compiled, which ``NUMBA_DISABLE_JIT=1`` switches off."""
    return not _CONFIG.DISABLE_JIT


def use_threads(count: int) -> None:
    """Let parallel kernels run on ``count`` threads, at most as many as Numba was started with."""
    numba.set_num_threads(min(max(count, 1), int(_CONFIG.NUMBA_NUM_THREADS)))


def law(function: Function) -> Function:
    """Compile a law, for numbers or lanes; the compiler fuses it into the kernels that call it."""
    return _compile(function, inline=True)


def kernel(function: Function) -> Function:
    """Compile a serial kernel that releases the interpreter lock."""
    return _compile(function)


def parallel_kernel(function: Function) -> Function:
    """Compile a kernel that spreads its ``prange`` loops over threads.

    It must be another Python function than the serial one: the cache does not tell apart two
    compilations of one function that differ in options only.
    """
    return _compile(function, parallel=True)
