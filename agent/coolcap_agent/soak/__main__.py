"""``python -m coolcap_agent.soak``."""

from coolcap_agent.soak.cli import app

app()
