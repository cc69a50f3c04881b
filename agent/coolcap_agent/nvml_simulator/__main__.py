"""Entry of ``python -m coolcap_agent.nvml_simulator``."""

import sys

from coolcap_agent.nvml_simulator.cli import main

if __name__ == "__main__":
    sys.exit(main())
