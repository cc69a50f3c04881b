"""What electors over HTTP share: a candidate's life, and how long it surely holds the office."""

import asyncio
import contextlib
import logging
import math
import ssl
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final

import httpx

from coolcap_agent.controller.election_config import ElectorConfig
from coolcap_agent.logging import FaultLog
from coolcap_envs.contract.errors import ConfigError

log = logging.getLogger(__name__)

CALL_DEADLINE_S: Final = 2.0
TTL_MIN_S: Final = 5
"""Shortest term of office: electors count whole seconds, and their own elections take some."""


class HttpElector(ABC):
    """One candidate. The office lasts from when it was asked for, so that it ends here first.

    Args:
        client: Reaches the elector's API.
        office: What is held.
        candidate: Who this candidate is; unique.
        ttl_s: Term of office; rounded up to whole seconds.
        mono_s: The host's monotonic clock.
    """

    name = ""

    def __init__(
        self,
        client: httpx.AsyncClient,
        *,
        office: str,
        candidate: str,
        ttl_s: float,
        mono_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._office = office
        self._candidate = candidate
        self._ttl_s = max(math.ceil(ttl_s), TTL_MIN_S)
        self._mono_s = mono_s
        self._end_mono_s = -math.inf
        self._wanted = False
        self._faults = FaultLog(log)

    @property
    def may_lead(self) -> bool:
        """Return whether the term of office surely lasts now. Safe in any thread."""
        return self._mono_s() < self._end_mono_s

    def want(self, wanted: bool) -> None:
        """Say whether this candidate wants to be elected."""
        self._wanted = wanted

    async def run(self) -> None:
        """Stand for election, renew, give up when no longer wanted; until cancelled."""
        try:
            while True:
                await self.turn()
                await asyncio.sleep(self._ttl_s / 5.0)
        finally:
            with contextlib.suppress(httpx.HTTPError, KeyError, ValueError):
                await self._give_up()
            await self._client.aclose()

    async def turn(self) -> None:
        """Do what is due once; an elector that fails is told, and asked again later."""
        asked_mono_s = self._mono_s()
        where = f"elector {self.name} at {self._client.base_url}"
        try:
            if not self._wanted:
                self._end_mono_s = -math.inf
                await self._give_up()
            elif await self._hold_office():
                self._end_mono_s = asked_mono_s + self._ttl_s
            else:
                self._end_mono_s = -math.inf
        except (httpx.HTTPError, KeyError, TypeError, ValueError) as error:
            self._faults.begin("elector", f"{where}: {type(error).__name__}: {error}")
        else:
            self._faults.end("elector", f"{where} answers")

    @abstractmethod
    async def _hold_office(self) -> bool:
        """Take or renew the office; return whether it is held. Raises httpx.HTTPError."""

    @abstractmethod
    async def _give_up(self) -> None:
        """Give the office up if it is held. Raises httpx.HTTPError."""


def open_client(config: ElectorConfig) -> httpx.AsyncClient:
    """Return a client for an elector.

    Raises:
        ConfigError: If a file it needs cannot be read.
    """
    try:
        headers = {}
        if config.token_file is not None:
            token = config.token_file.read_text(encoding="utf-8").strip()
            headers["authorization"] = f"Bearer {token}"
        context = ssl.create_default_context(
            cafile=None if config.ca_file is None else str(config.ca_file)
        )
        if config.certificate_file is not None and config.key_file is not None:
            context.load_cert_chain(config.certificate_file, config.key_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            "[election]", [f"a file of the elector cannot be used: {error}"]
        ) from error
    return httpx.AsyncClient(
        base_url=config.url, headers=headers, verify=context, timeout=CALL_DEADLINE_S
    )
