"""``[console]`` of the controller's config: the web console, which is off without it.

::

    [console]
    listen = "127.0.0.1:8088"
    tls = false                     # true: HTTPS with the certificate of [server]
    token_file = "console.tokens"   # lines "NAME TOKEN": people who may also control
    anonymous_read = true           # default: only where nobody but this machine can reach it
    hosts = ["hall.example.org"]    # names browsers use for it, beside the address itself
"""

import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coolcap_agent.rpc.address import Address, parse_address
from coolcap_agent.rpc.tls import KEY_MODE_REFUSED
from coolcap_envs.contract.config import Table
from coolcap_envs.contract.errors import ConfigError

TOKEN_LENGTH_MIN: Final = 16
"""Characters. At one try per second, 16 random ones are out of reach of guessing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleConfig:
    """How the console is reached, and by whom.

    Attributes:
        listen: Where.
        tls: Whether browsers reach it by HTTPS; a client certificate is then asked for.
        token_file: People who may control, with a token each; None: only by certificate.
        anonymous_read: Whether those who show neither may read.
        hosts: Names browsers use for it, beside the address itself.
    """

    listen: Address
    tls: bool
    token_file: Path | None
    anonymous_read: bool
    hosts: tuple[str, ...]

    def tokens(self) -> dict[str, str]:
        """Read who may control, by token.

        Raises:
            ConfigError: If the file cannot be read, is open to others or holds a weak token.
        """
        if self.token_file is None:
            return {}
        return _read_tokens(self.token_file)


def _read_tokens(path: Path) -> dict[str, str]:
    problems: list[str] = []
    found: dict[str, str] = {}
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(str(path), [f"cannot be read: {error.strerror}"]) from error
    if mode & KEY_MODE_REFUSED:
        problems.append(f"can be read by others (mode {mode:03o}): run `chmod 600 {path}`")
    for number, line in enumerate(text.splitlines(), start=1):
        parts = line.split()
        if not parts or line.lstrip().startswith("#"):
            continue
        if len(parts) != 2:
            problems.append(f"line {number} must be a name and a token, apart by a blank")
        elif len(parts[1]) < TOKEN_LENGTH_MIN:
            problems.append(
                f"line {number}: the token of {parts[0]} has {len(parts[1])} characters, at least "
                f"{TOKEN_LENGTH_MIN} are needed; make one with `openssl rand -hex 16`"
            )
        elif parts[1] in found:
            problems.append(f"line {number}: the token of {parts[0]} is also {found[parts[1]]}'s")
        else:
            found[parts[1]] = parts[0]
    if problems:
        raise ConfigError(str(path), problems)
    return found


def read_console_config(root: Table, *, folder: Path) -> ConsoleConfig | None:
    """Read ``[console]``; None means there is no console. Problems are in ``root.problems``."""
    if not root.has("console"):
        return None
    table = root.take_table("console")
    text = table.take_str("listen", default="127.0.0.1:8088")
    listen = None
    try:
        listen = parse_address(text)
    except ValueError as error:
        table.complain("listen", f"= {text!r} is not allowed: {error}")
    loopback = listen is not None and listen.loopback
    tls = table.take_bool("tls", default=False)
    if listen is not None and not loopback and not tls:
        table.complain(
            "tls",
            f"= false is allowed on this machine's own addresses only, and {listen} is open to "
            "others: set tls = true, or listen on 127.0.0.1 behind a proxy of yours",
        )
    token_file = folder / table.take_str("token_file") if table.has("token_file") else None
    config = ConsoleConfig(
        listen=listen or Address(host="127.0.0.1", port=0),
        tls=tls,
        token_file=token_file,
        anonymous_read=table.take_bool("anonymous_read", default=loopback),
        hosts=table.take_strs("hosts", default=()),
    )
    table.finish()
    return config
