"""Electors over HTTP against services in memory that behave as the real ones do."""

import asyncio
import base64
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from coolcap_agent.controller.elector_etcd import EtcdElector
from coolcap_agent.controller.elector_http import HttpElector
from coolcap_agent.controller.elector_kubernetes import KubernetesElector
from support.fake_points import HandClock

TTL_S = 5.0


class FakeEtcd:
    """Keys under leases that end: the part of etcd's gateway an election needs."""

    def __init__(self, clock: HandClock) -> None:
        self.clock = clock
        self.leases: dict[str, float] = {}
        self.keys: dict[str, tuple[str, str]] = {}
        self.away = False

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.away:
            raise httpx.ConnectError("no route to host")
        now_s = self.clock.mono_s()
        self.leases = {k: end_s for k, end_s in self.leases.items() if end_s > now_s}
        self.keys = {k: v for k, v in self.keys.items() if v[1] in self.leases}
        body = json.loads(request.content)
        answer = getattr(self, request.url.path.removeprefix("/v3/").replace("/", "_"))(body)
        return httpx.Response(200, json=answer)

    def lease_grant(self, body: dict[str, Any]) -> dict[str, Any]:
        name = str(1000 + len(self.leases) + round(self.clock.mono_s()))
        self.leases[name] = self.clock.mono_s() + float(body["TTL"])
        return {"ID": name, "TTL": body["TTL"]}

    def lease_keepalive(self, body: dict[str, Any]) -> dict[str, Any]:
        if body["ID"] not in self.leases:
            return {"result": {"ID": body["ID"]}}
        self.leases[body["ID"]] = self.clock.mono_s() + TTL_S
        return {"result": {"ID": body["ID"], "TTL": str(TTL_S).split(".")[0]}}

    def lease_revoke(self, body: dict[str, Any]) -> dict[str, Any]:
        self.leases.pop(body["ID"], None)
        return {}

    def kv_txn(self, body: dict[str, Any]) -> dict[str, Any]:
        key = body["compare"][0]["key"]
        if key not in self.keys:
            put = body["success"][0]["request_put"]
            self.keys[key] = (put["value"], put["lease"])
            return {"succeeded": True}
        value, lease = self.keys[key]
        return {"responses": [{"response_range": {"kvs": [{"value": value, "lease": lease}]}}]}


class FakeKubernetes:
    """One Lease with optimistic concurrency, and no clock of its own."""

    def __init__(self, clock: HandClock) -> None:
        self.clock = clock
        self.record: dict[str, Any] | None = None
        self.version = 0
        self.away = False
        self.between: Callable[[], None] = lambda: None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.away:
            raise httpx.ConnectError("no route to host")
        if request.method == "GET":
            found = self.record
            answer = httpx.Response(404) if found is None else httpx.Response(200, json=found)
            self.between()
            return answer
        body = json.loads(request.content)
        if request.method == "POST" and self.record is not None:
            return httpx.Response(409)
        if request.method == "PUT":
            assert self.record is not None
            if body["metadata"]["resourceVersion"] != self.record["metadata"]["resourceVersion"]:
                return httpx.Response(409)
        self.version += 1
        body["metadata"]["resourceVersion"] = str(self.version)
        self.record = body
        return httpx.Response(200, json=body)


class Election:
    """Two candidates for one office, over one clock."""

    def __init__(self, kind: str) -> None:
        self.clock = HandClock(100.0)
        make: type[HttpElector] = EtcdElector if kind == "etcd" else KubernetesElector
        self.service = FakeEtcd(self.clock) if kind == "etcd" else FakeKubernetes(self.clock)
        office = "/coolcap/hall" if kind == "etcd" else "coolcap/hall"
        self.a, self.b = (
            make(
                httpx.AsyncClient(
                    base_url="http://elector", transport=httpx.MockTransport(self.service)
                ),
                office=office,
                candidate=name,
                ttl_s=TTL_S,
                mono_s=self.clock.mono_s,
            )
            for name in ("a", "b")
        )
        self.a.want(True)
        self.b.want(True)

    async def turns(self, *candidates: HttpElector, span_s: float) -> None:
        for _ in range(round(span_s)):
            for candidate in candidates:
                await candidate.turn()
            self.clock.time_s += 1.0


KINDS = pytest.mark.parametrize("kind", ["etcd", "kubernetes"])


@KINDS
def test_one_of_two_is_elected_and_stays(kind: str) -> None:
    async def scene() -> None:
        election = Election(kind)
        for _ in range(4):
            await election.turns(election.a, election.b, span_s=5.0)
            assert (election.a.may_lead, election.b.may_lead) == (True, False)

    asyncio.run(scene())


@KINDS
def test_silent_one_loses_the_office_before_another_gets_it(kind: str) -> None:
    async def scene() -> None:
        election = Election(kind)
        await election.turns(election.a, election.b, span_s=3.0)
        for _ in range(12):
            await election.turns(election.b, span_s=1.0)
            assert not (election.a.may_lead and election.b.may_lead)
        assert election.b.may_lead

    asyncio.run(scene())


@KINDS
def test_office_ends_by_itself_when_the_service_is_away(kind: str) -> None:
    async def scene() -> None:
        election = Election(kind)
        await election.turns(election.a, span_s=2.0)
        election.service.away = True
        assert election.a.may_lead

        await election.turns(election.a, span_s=TTL_S)

        assert not election.a.may_lead

    asyncio.run(scene())


@KINDS
def test_who_no_longer_wants_the_office_gives_it_up_at_once(kind: str) -> None:
    async def scene() -> None:
        election = Election(kind)
        await election.turns(election.a, election.b, span_s=2.0)
        election.a.want(False)
        await election.a.turn()
        await election.turns(election.b, span_s=3.0)

        assert not election.a.may_lead
        assert election.b.may_lead

    asyncio.run(scene())


@KINDS
def test_candidate_that_comes_back_in_time_keeps_the_office(kind: str) -> None:
    async def scene() -> None:
        election = Election(kind)
        await election.turns(election.a, election.b, span_s=2.0)
        election.service.away = True
        await election.turns(election.a, span_s=2.0)
        election.service.away = False
        await election.turns(election.a, election.b, span_s=2.0)

        assert election.a.may_lead

    asyncio.run(scene())


def test_of_two_that_take_a_free_lease_at_once_one_is_refused() -> None:
    """Both read the same version; the second write finds another one."""

    async def scene() -> None:
        election = Election("kubernetes")
        await election.turns(election.a, span_s=1.0)
        election.a.want(False)
        await election.a.turn()
        service = election.service
        assert isinstance(service, FakeKubernetes)
        election.a.want(True)

        def change() -> None:
            service.between = lambda: None
            assert service.record is not None
            service.record = {
                **service.record,
                "metadata": {"name": "hall", "resourceVersion": "99"},
            }

        service.between = change
        await election.a.turn()

        assert not election.a.may_lead

    asyncio.run(scene())


def test_etcd_key_names_the_candidate() -> None:
    async def scene() -> None:
        election = Election("etcd")
        await election.turns(election.a, span_s=1.0)
        service = election.service
        assert isinstance(service, FakeEtcd)
        ((value, _),) = service.keys.values()
        assert base64.b64decode(value) == b"a"

    asyncio.run(scene())
