"""Tests of events that ask for less power: from a file and from a server of OpenADR 3."""

import asyncio
import json
import logging
import math
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from coolcap_agent.controller.budgets import Budgets
from coolcap_agent.controller.demand_response import (
    DemandResponse,
    EventFile,
    EventSource,
    EventSourceError,
)
from coolcap_agent.controller.demand_response_config import DemandResponseConfig, OpenAdrConfig
from coolcap_agent.logging import FaultLog
from support.small_site import small_site

START_S = 1_782_921_600.0
"""2026-07-01T16:00:00Z."""
EVENTS = """
[[events]]
id = "july"
start = 2026-07-01T16:00:00Z
end = 2026-07-01T17:00:00Z
{what}
"""
CONFIG = DemandResponseConfig(budget="site", floor_w=1500.0, file=None, openadr=None)


def demand(source: EventSource, budgets: Budgets) -> tuple[DemandResponse, FaultLog]:
    faults = FaultLog(logging.getLogger("test"))
    return DemandResponse(source, lambda: CONFIG, budgets=budgets, faults=faults), faults


@pytest.mark.parametrize(
    ("what", "held_w"),
    [
        ("power_w = 2000.0", 2000.0),
        ("reduction_ratio = 0.25", 0.75 * 2600.0),
        ("power_w = 100.0", 1500.0),
        ("power_w = 100.0\nemergency = true", 100.0),
        ("power_w = 9000.0", 2600.0),
    ],
)
def test_event_lowers_its_budget_during_its_time_down_to_the_floor(
    tmp_path: Path, what: str, held_w: float
) -> None:
    path = tmp_path / "events.toml"
    path.write_text(EVENTS.format(what=what))
    budgets = Budgets(*small_site())
    asyncio.run(demand(EventFile(path), budgets)[0].look())

    times_s = (START_S - 1.0, START_S, START_S + 3599.0, START_S + 3600.0)

    held = [float(budgets.limits_at(t).budget_w[0]) for t in times_s]
    assert held == [2600.0, held_w, held_w, 2600.0]


def test_emergency_of_a_part_leaves_the_rest_alone(tmp_path: Path) -> None:
    path = tmp_path / "events.toml"
    path.write_text(EVENTS.format(what='power_w = 700.0\nemergency = true\nbudget = "first rack"'))
    budgets = Budgets(*small_site())
    asyncio.run(demand(EventFile(path), budgets)[0].look())

    assert budgets.limits_at(START_S).budget_w.tolist() == [2600.0, 700.0]


def test_broken_file_leaves_what_was_asked_in_force_and_says_all_that_is_wrong(
    tmp_path: Path,
) -> None:
    path = tmp_path / "events.toml"
    path.write_text(EVENTS.format(what="power_w = 2000.0"))
    budgets = Budgets(*small_site())
    asked, faults = demand(EventFile(path), budgets)

    async def scenario() -> None:
        await asked.look()
        path.write_text(EVENTS.format(what='size = "large"').replace("17:00", "15:00"))
        await asked.look()

    asyncio.run(scenario())

    assert budgets.limits_at(START_S).budget_w[0] == 2000.0
    said = faults.present[str(path)]
    assert all(text in said for text in ("size", "power_w", "end"))


def test_file_that_is_taken_away_ends_its_events(tmp_path: Path) -> None:
    path = tmp_path / "events.toml"
    path.write_text(EVENTS.format(what="power_w = 2000.0"))
    budgets = Budgets(*small_site())
    asked, _ = demand(EventFile(path), budgets)

    async def scenario() -> None:
        await asked.look()
        path.unlink()
        await asked.look()

    asyncio.run(scenario())

    assert budgets.limits_at(START_S).budget_w[0] == 2600.0


PROGRAMME_EVENT = {
    "id": "event-1",
    "programID": "programme-1",
    "eventName": "hot afternoon",
    "intervalPeriod": {"start": "2026-07-01T16:00:00Z", "duration": "PT30M"},
    "intervals": [
        {"id": 0, "payloads": [{"type": "IMPORT_CAPACITY_LIMIT", "values": [2.0]}]},
        {"id": 1, "payloads": [{"type": "IMPORT_CAPACITY_LIMIT", "values": [1.0]}]},
        {"id": 2, "payloads": [{"type": "PRICE", "values": [0.4]}]},
    ],
}


class Vtn:
    """A stand-in for a server of OpenADR 3: a token, and the events of one programme."""

    def __init__(self) -> None:
        self.events: list[Mapping[str, object]] = [PROGRAMME_EVENT]
        self.token_count = 0
        self.status = 200

    @contextmanager
    def serve(self) -> Iterator[str]:
        vtn = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                if parts.path == "/auth/server":
                    self._say(200, {"tokenURL": f"http://{self.headers['Host']}/auth/token"})
                    return
                query = parse_qs(parts.query)
                assert parts.path == "/events"
                assert query["programID"] == ["programme-1"]
                wanted = f"Bearer token-{vtn.token_count}"
                allowed = self.headers.get("Authorization") == wanted
                first = int(query["skip"][0])
                page = vtn.events[first : first + int(query["limit"][0])]
                self._say(vtn.status if allowed else 403, page)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                assert parse_qs(body)["client_secret"] == ["secret"]
                vtn.token_count += 1
                self._say(200, {"access_token": f"token-{vtn.token_count}"})

            def _say(self, status: int, answer: object) -> None:
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


@pytest.fixture
def openadr_config(tmp_path: Path) -> OpenAdrConfig:
    (tmp_path / "secret").write_text("secret\n")
    return OpenAdrConfig(
        url="",
        program="programme-1",
        client_id="hall-1",
        client_secret_file=tmp_path / "secret",
        token_url="",
        period_s=30.0,
    )


def test_intervals_of_a_programme_are_met_one_after_the_other(
    openadr_config: OpenAdrConfig,
) -> None:
    module = pytest.importorskip("coolcap_agent.controller.openadr")
    budgets = Budgets(*small_site())
    vtn = Vtn()
    vtn.events = [PROGRAMME_EVENT, *({**PROGRAMME_EVENT, "intervals": []} for _ in range(60))]
    with vtn.serve() as url:
        source = module.OpenAdrEvents(_at(openadr_config, url))
        try:
            asyncio.run(demand(source, budgets)[0].look())
        finally:
            source.close()

    times_s = np.array([-1.0, 0.0, 1799.0, 1800.0, 3599.0, 3600.0]) + START_S
    held = [float(budgets.limits_at(t).budget_w[0]) for t in times_s]
    assert held == [2600.0, 2000.0, 2000.0, 1500.0, 1500.0, 2600.0]
    assert vtn.token_count == 1


def test_server_that_fails_is_told_and_asked_with_a_new_token_afterwards(
    openadr_config: OpenAdrConfig,
) -> None:
    module = pytest.importorskip("coolcap_agent.controller.openadr")
    vtn = Vtn()

    async def scenario(url: str) -> None:
        source = module.OpenAdrEvents(_at(openadr_config, url))
        try:
            assert len(await source.find()) == 2
            vtn.status = 500
            with pytest.raises(EventSourceError, match="500"):
                await source.find()
            vtn.status = 200
            assert len(await source.find()) == 2
        finally:
            source.close()

    with vtn.serve() as url:
        asyncio.run(scenario(url))
    assert vtn.token_count == 2


def _at(config: OpenAdrConfig, url: str) -> OpenAdrConfig:
    return OpenAdrConfig(
        url=url,
        program=config.program,
        client_id=config.client_id,
        client_secret_file=config.client_secret_file,
        token_url=config.token_url,
        period_s=config.period_s,
    )


def test_start_is_what_the_constant_says() -> None:
    from datetime import UTC, datetime

    assert math.isclose(datetime(2026, 7, 1, 16, tzinfo=UTC).timestamp(), START_S)
