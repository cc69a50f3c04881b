"""Events of OpenADR 3, fetched as a virtual end node (VEN) from a server (VTN).

Met are intervals with a payload ``IMPORT_CAPACITY_LIMIT`` or ``DISPATCH_SETPOINT``, in kW, taken as
IT power of the budget that the config names; other payloads are not ours and are left alone. The
API and the types of payloads are those of OpenADR 3.1, https://www.openadr.org/.
"""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

import httpx
from openadr3 import Event, Interval, OpenADRClient, fetch_token

from coolcap_agent.controller.demand_response import DemandEvent, EventSourceError
from coolcap_agent.controller.demand_response_config import OpenAdrConfig

log = logging.getLogger(__name__)

PAYLOAD_TYPES: Final = ("IMPORT_CAPACITY_LIMIT", "DISPATCH_SETPOINT")
W_PER_KW: Final = 1000.0
PAGE_SIZE: Final = 50
PAGES_MAX: Final = 100
"""5000 events: more than any programme has at once, and an end to a server that never ends."""


class OpenAdrEvents:
    """Fetches the events of one programme.

    Args:
        config: Which server and programme.
    """

    def __init__(self, config: OpenAdrConfig) -> None:
        self._config = config
        self._client = OpenADRClient(config.url)
        self._has_token = False
        self.name = f"OpenADR at {config.url}"

    @property
    def period_s(self) -> float:
        """Return how often the server is asked."""
        return self._config.period_s

    async def find(self) -> Sequence[DemandEvent]:
        """Return the events of the programme. Raises EventSourceError."""
        try:
            return await asyncio.to_thread(self._fetch)
        except (httpx.HTTPError, OSError, ValueError, KeyError, TypeError) as error:
            self._has_token = False  # it may have ended: ask for one anew next time
            raise EventSourceError(f"{self.name}: {error}") from error

    def close(self) -> None:
        """End all connections."""
        self._client.close()

    def _fetch(self) -> list[DemandEvent]:
        config = self._config
        if config.client_secret_file is not None and not self._has_token:
            secret = config.client_secret_file.read_text(encoding="utf-8").strip()
            token = fetch_token(
                config.url, config.client_id, secret, token_url=config.token_url or None
            )
            self._client.close()
            self._client = OpenADRClient(config.url, token=token)
            self._has_token = True
        events: list[DemandEvent] = []
        for page in range(PAGES_MAX):
            answer = self._client.get_events(
                programID=config.program, skip=page * PAGE_SIZE, limit=PAGE_SIZE
            )
            answer.raise_for_status()
            found = answer.json()
            for raw in found:
                events += demand_events(Event.from_raw(raw))
            if len(found) < PAGE_SIZE:
                break
        return events


def demand_events(event: Event) -> Iterator[DemandEvent]:
    """Yield what an event asks for, one per interval that asks for anything of ours."""
    period = event.interval_period
    next_start: datetime | None = None if period is None else period.start
    for interval in event.intervals or ():
        own = interval.interval_period or period
        start = next_start if interval.interval_period is None else interval.interval_period.start
        span = None if own is None else own.duration
        if start is None or span is None:
            log.warning("event %s: interval %s has no time; ignored", event.id, interval.id)
            continue
        end: datetime = start + span
        next_start = end
        power_kw = _power_kw(interval)
        if power_kw is not None:
            yield DemandEvent(
                event_id=f"{event.id}/{interval.id}",
                power_w=power_kw * W_PER_KW,
                reduction_ratio=0.0,
                start_time_s=start.timestamp(),
                end_time_s=end.timestamp(),
                reason=event.event_name or "OpenADR",
            )


def _power_kw(interval: Interval) -> float | None:
    for payload in interval.payloads:
        if payload.type in PAYLOAD_TYPES and payload.values:
            return float(payload.values[0])
    return None
