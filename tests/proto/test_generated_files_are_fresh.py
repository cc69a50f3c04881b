"""The committed gRPC code is what the committed ``.proto`` files give."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROTO = ROOT / "proto"


def generated(folder: Path) -> dict[str, str]:
    paths = (folder / "coolcap_proto" / "v1").glob("*_pb2*.py*")
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(paths)}


@pytest.mark.skipif(
    not find_spec("grpc_tools") or not find_spec("mypy_protobuf"),
    reason="the generator (grpcio-tools, mypy-protobuf: dependency group proto) is not installed",
)
def test_regenerating_gives_the_committed_files(tmp_path: Path) -> None:
    """
    If this fails, run `make proto` and commit what it writes.
    """
    script = ROOT / "scripts" / "generate_proto.sh"
    binaries = Path(sys.executable).parent
    subprocess.run([script, binaries, tmp_path], check=True, timeout=60)

    fresh, committed = generated(tmp_path), generated(PROTO)

    assert fresh.keys() == committed.keys()
    assert [name for name, text in fresh.items() if text != committed[name]] == []
    assert {f"{path.stem}_pb2.py" for path in PROTO.glob("coolcap_proto/v1/*.proto")} <= {*fresh}
