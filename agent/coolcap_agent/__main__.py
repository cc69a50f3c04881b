"""``python -m coolcap_agent`` is ``coolcap``."""

from coolcap_agent.cli import main

main()
