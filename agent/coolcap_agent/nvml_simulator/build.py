"""Compile ``libnvidia-ml.so.1`` on demand, once per version of its sources."""

import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from coolcap_agent.nvml_simulator.hall_header import hall_header
from coolcap_envs.contract.errors import CoolcapError

LIBRARY_NAME: Final = "libnvidia-ml.so.1"
"""What clients of NVML load; also the library's own name (soname)."""

SOURCES: Final = Path(__file__).parent / "csrc"

COMPILE_FLAGS: Final = (
    "-std=c11",
    "-D_POSIX_C_SOURCE=200809L",
    "-O2",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-fPIC",
    "-fvisibility=hidden",
    "-pthread",
)
LINK_FLAGS: Final = ("-shared", f"-Wl,-soname,{LIBRARY_NAME}", "-Wl,-z,defs", "-lm")


class BuildError(CoolcapError):
    """The library cannot be built here: no compiler, or it refused the sources."""


def find_compiler() -> str | None:
    """Return the C compiler: ``$CC``, else gcc, else cc; None without any."""
    for name in (os.environ.get("CC"), "gcc", "cc"):
        found = shutil.which(name) if name else None
        if found:
            return found
    return None


def cache_folder() -> Path:
    """Return where built libraries are kept: ``$XDG_CACHE_HOME/coolcap``."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "coolcap"


def _identity(compiler: str, header: str) -> str:
    """Return a short hash of all that decides what the library does."""
    parts = [compiler, platform.machine(), *COMPILE_FLAGS, *LINK_FLAGS, header]
    parts += [f"{path.name}\n{path.read_text()}" for path in sorted(SOURCES.iterdir())]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def build_library() -> Path:
    """Return the path of the library for this version of the shared hall, built if need be.

    Processes that build at the same time do not disturb each other: the file appears complete.

    Raises:
        BuildError: If there is no C compiler, or it fails.
    """
    compiler = find_compiler()
    if compiler is None:
        raise BuildError(
            f"{LIBRARY_NAME} needs a C compiler to be built, and neither $CC nor gcc nor cc is "
            "on PATH: install gcc"
        )
    header = hall_header()
    folder = cache_folder() / "nvml-simulator" / _identity(compiler, header)
    library = folder / LIBRARY_NAME
    if not library.exists():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder) as scratch:
                os.replace(compile_library(compiler, header, Path(scratch)), library)
        except OSError as error:
            raise BuildError(f"{library} cannot be written: {error.strerror}") from error
    return library


def compile_library(
    compiler: str, header: str, folder: Path, *, flags: tuple[str, ...] = ()
) -> Path:
    """Compile the sources into ``folder``, with ``header`` as ``hall_layout.h``.

    Args:
        compiler: The C compiler.
        header: Text of the header.
        folder: Where the library goes.
        flags: More flags for the compiler.

    Raises:
        BuildError: If the compiler fails; holds what it said.
    """
    (folder / "hall_layout.h").write_text(header)
    library = folder / LIBRARY_NAME
    sources = sorted(str(path) for path in SOURCES.glob("*.c"))
    command = [compiler, *COMPILE_FLAGS, *flags, f"-I{folder}", f"-I{SOURCES}", "-o", str(library)]
    done = subprocess.run(
        [*command, *sources, *LINK_FLAGS], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise BuildError(f"{compiler} cannot compile {LIBRARY_NAME}:\n{done.stderr}")
    return library
