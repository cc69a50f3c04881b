"""``[metrics]`` of a daemon's config: where a scraper finds it.

::

    [metrics]
    listen = "127.0.0.1:9464"    # nobody is asked who they are: keep it on a network of your own
"""

from coolcap_agent.rpc.address import Address, parse_address
from coolcap_envs.contract.config import Table


def read_metrics_config(root: Table) -> Address | None:
    """Read ``[metrics]``; None means that nothing is served. Problems are in ``root.problems``."""
    if not root.has("metrics"):
        return None
    table = root.take_table("metrics")
    listen = table.take_str("listen")
    table.finish()
    try:
        return parse_address(listen)
    except ValueError as error:
        if listen:
            table.complain("listen", f"= {listen!r} is not allowed: {error}")
        return None
