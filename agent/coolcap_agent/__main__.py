"""``python -m coolcap_agent`` is ``coolcap``."""

from coolcap_agent.start import main

main()
