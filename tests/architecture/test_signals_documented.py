"""The reference page of signals is generated, and stays so."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "generate_reference.py"


def test_the_signal_reference_is_fresh() -> None:
    """Run ``python scripts/generate_reference.py`` when this fails."""
    assert subprocess.run([sys.executable, str(SCRIPT), "--check"], check=False).returncode == 0
