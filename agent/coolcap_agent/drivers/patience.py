"""How long a driver waits for devices, and how often it polls them."""

from dataclasses import dataclass

from coolcap_envs.contract.config import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long the driver waits.

    Attributes:
        poll_s: For all devices to be read; whoever is late keeps old readings.
        command_s: For a lever to be read, written or released.
        settle_s: For a written value to stand and to be followed.
        poll_period_s: Between two polls of a device; 0 polls at each reading. Where the protocol
            can, changes in between are subscribed to.
    """

    poll_s: float
    command_s: float
    settle_s: float
    poll_period_s: float = 0.0

    @classmethod
    def take(cls, options: Table) -> "Patience":
        """Take ``poll_deadline_s``, ``command_deadline_s`` and ``settle_s``; 4, 2 and 1 s.

        A command and the look at what became of it fit into the plant agent's 5 s for a device.
        """
        poll_s, command_s, settle_s = (
            options.take_float(key, low=0.05, high=60.0, unit="s", default=default)
            for key, default in (
                ("poll_deadline_s", 4.0),
                ("command_deadline_s", 2.0),
                ("settle_s", 1.0),
            )
        )
        poll_period_s = options.take_float(
            "poll_period_s", low=0.0, high=3600.0, unit="s", default=0.0
        )
        return cls(
            poll_s=poll_s, command_s=command_s, settle_s=settle_s, poll_period_s=poll_period_s
        )
