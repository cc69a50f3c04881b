"""Loading certificate, key and authority for both ends; all that is wrong is said at once."""

import stat
from datetime import datetime

from coolcap_agent.rpc.identity import Tls as Tls
from coolcap_agent.rpc.identity import TlsFiles as TlsFiles
from coolcap_agent.rpc.identity import Usage

KEY_MODE_REFUSED = stat.S_IRWXO | stat.S_IWGRP | stat.S_IXGRP
"""A key may be read by its owner and, for a service account, its group; by nobody else."""


def load_tls(
    files: TlsFiles,
    *,
    usages: tuple[Usage, ...],
    name: str = "",
    origin: str = "TLS files",
    now: datetime | None = None,
) -> Tls:
    """Read and check an identity.

    Args:
        files: Where it is.
        usages: What it will be used for; the controller is server and client.
        name: Node, plant or controller id the certificate must be for; empty: any.
        origin: What to call the source of the paths in messages, for example the config file.
        now: Time to check validity at, timezone-aware; default: the host's.

    Raises:
        ConfigError: If anything is wrong; the message lists every problem with its file.
    """
    # Imported here: see ``identity.py``.
    from coolcap_agent.rpc.tls_check import read_identity

    return read_identity(files, usages=usages, name=name, origin=origin, now=now)
