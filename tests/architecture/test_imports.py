"""Dependencies run one way, and a daemon loads neither the learner nor the simulator."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "agent": "coolcap_agent",
    "envs": "coolcap_envs",
    "proto": "coolcap_proto",
    "training": "coolcap_training",
}

# Heavy modules, and why a daemon must not carry them: resident memory, start time and, for
# numba, a compiler inside the process that holds the privilege to set power caps.
NOT_IN_A_DAEMON = ("gymnasium", "matplotlib", "numba", "ray", "stable_baselines3", "torch")

# Where a data centre is simulated, and only there, the agent package runs the plant model.
SIMULATION = ("coolcap_agent.demo", "coolcap_agent.sim.")


def agent_modules() -> list[str]:
    """All modules of ``coolcap_agent`` by file, without ``__main__``, which would run."""
    root = ROOT / "agent"
    paths = (path.relative_to(root).with_suffix("") for path in root.rglob("*.py"))
    return sorted(".".join(p.parts) for p in paths if p.name not in ("__init__", "__main__"))


def modules_after_importing(name: str) -> set[str]:
    """Names of all modules in a fresh interpreter after ``import name``."""
    code = f"import json, sys, {name}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_import_contracts_of_pyproject_are_kept() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_agent_command_loads_neither_learner_nor_simulator() -> None:
    loaded = modules_after_importing("coolcap_agent.cli")

    assert set() == loaded.intersection(NOT_IN_A_DAEMON)


def test_no_module_of_the_daemons_loads_learner_or_simulator() -> None:
    """The command imports its subcommands late, so their modules are looked at as well."""
    daemons = [name for name in agent_modules() if not name.startswith(SIMULATION)]

    loaded = modules_after_importing(", ".join(daemons))

    assert set() == loaded.intersection(NOT_IN_A_DAEMON)


@pytest.mark.parametrize("package", ["coolcap_envs.contract", "coolcap_envs.safety"])
def test_contract_and_safety_load_numpy_and_nothing_heavier(package: str) -> None:
    """The packages' modules, all of them, not only what ``__init__`` pulls in."""
    folder = ROOT / "envs" / Path(*package.split("."))
    names = [f"{package}.{path.stem}" for path in folder.glob("*.py") if path.stem != "__init__"]

    loaded = modules_after_importing(", ".join(sorted(names)))

    assert "numpy" in loaded
    assert set() == loaded.intersection({*NOT_IN_A_DAEMON, "grpc", "onnxruntime", "coolcap_proto"})


@pytest.mark.parametrize(("folder", "package"), PACKAGES.items())
def test_top_of_each_package_is_a_docstring_and_nothing_else(folder: str, package: str) -> None:
    """An import here would run in every process that imports any module below."""
    tree = ast.parse((ROOT / folder / package / "__init__.py").read_text())

    assert ast.get_docstring(tree)
    assert len(tree.body) == 1


@pytest.mark.parametrize(("folder", "package"), PACKAGES.items())
def test_each_package_is_marked_as_typed(folder: str, package: str) -> None:
    assert (ROOT / folder / package / "py.typed").is_file()
