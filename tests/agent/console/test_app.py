"""What a browser is told, what it may change, and that a change is the operator API's own."""

import json
from pathlib import Path

import httpx

from coolcap_agent.controller.modes import Mode
from coolcap_envs.contract.signals import GROUP_COLUMN
from support.console_desk import ConsoleDesk, play
from support.small_fleet import SmallFleet


def audited(desk: ConsoleDesk) -> list[dict[str, str]]:
    path: Path = desk.controller.config.state_dir / "audit.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


async def first_event(desk: ConsoleDesk) -> dict[str, object]:
    async for message in desk.feed.stream():
        kind, data = message.decode().split("\n")[:2]
        assert kind == "event: state"
        return dict(json.loads(data.removeprefix("data: ")))
    raise AssertionError("the stream ended")


def test_layout_and_state_fit_together(fleet: SmallFleet) -> None:
    async def scene(desk: ConsoleDesk) -> None:
        await desk.tick()
        async with desk.browser() as browser:
            layout = (await browser.get("/api/layout")).json()

        state = desk.feed.state()

        assert layout["site"] == state["site"] == "small"
        gpu_count = sum(layout["gpu_counts"])
        assert all(len(values) == gpu_count for values in state["gpus"].values())
        assert len(state["racks"]["inlet_c"]) == len(layout["racks"])
        assert len(state["groups"]["cap_w"]) == len(layout["groups"])
        seen_w = desk.fleet.state.gpus()[:, GROUP_COLUMN["power_limit_w"]]
        assert state["gpus"]["limit_w"] == [round(w) for w in seen_w]
        assert state["agents"] == {"count": 3, "live": 3, "leased": 3, "troubled": []}

    play(fleet, scene)


def test_stream_tells_each_tick_once(fleet: SmallFleet) -> None:
    async def scene(desk: ConsoleDesk) -> None:
        await desk.tick()
        first = await first_event(desk)
        await desk.tick()
        second = await first_event(desk)

        assert float(str(second["time_s"])) == float(str(first["time_s"])) + 30.0

    play(fleet, scene)


def test_history_holds_what_the_ticks_found(fleet: SmallFleet) -> None:
    async def scene(desk: ConsoleDesk) -> None:
        for _ in range(3):
            await desk.tick()
        async with desk.browser() as browser:
            past = (await browser.get("/api/history?span=hour")).json()
            wrong = await browser.get("/api/history?span=year")

        assert len(past["time_s"]) >= 3
        state = desk.feed.state()
        assert past["columns"]["it_power_w"][-1] == round(state["power"]["it_power_w"], 3)
        assert wrong.status_code == 404
        assert "hour, day and month" in wrong.json()["message"]

    play(fleet, scene)


def test_a_lowered_cap_is_listed_and_explained(fleet: SmallFleet) -> None:
    async def scene(desk: ConsoleDesk) -> None:
        await desk.tick()
        async with desk.signed_in() as browser:
            lower = {"name": "site", "budget_w": 1600.0, "reason": "heat wave"}
            await browser.post("/api/call/SetBudget", json=lower)
            await desk.tick()
            rows = (await browser.get("/api/decisions")).json()["decisions"]
            changes = (await browser.get("/api/changes?group=node-1/0")).json()["changes"]
            asked = {"group": "node-1/0", "time": changes[0]["time"]}
            decision = (await browser.post("/api/call/GetDecision", json=asked)).json()

        assert [row["number"] for row in rows] == sorted((r["number"] for r in rows), reverse=True)
        assert rows[0]["lowered"] > 0
        assert changes[0]["to_w"] < changes[0]["from_w"]
        assert "budget" in changes[0]["reasons"]
        (step,) = decision["steps"]
        assert decision["decision_id"] == str(changes[0]["number"])
        assert round(step["commanded"]) == changes[0]["to_w"]
        assert any("site 1600 W" in reason["message"] for reason in step["reasons"])

    play(fleet, scene)


def test_reader_sees_and_changes_nothing(fleet: SmallFleet) -> None:
    async def scene(desk: ConsoleDesk) -> None:
        await desk.tick()
        async with desk.browser() as browser:
            session = (await browser.get("/api/session")).json()
            answer = await browser.post(
                "/api/call/SetMode", json={"mode": "MODE_OFF", "reason": "x"}
            )

        assert (session["read"], session["control"]) == (True, False)
        assert answer.status_code == 403
        assert "needs role control" in answer.json()["message"]
        assert desk.controller.loop.state.mode.mode is Mode.AUTO
        assert audited(desk) == []

    play(fleet, scene)


def test_signed_in_person_changes_the_mode_and_the_audit_log_says_who(fleet: SmallFleet) -> None:
    async def scene(desk: ConsoleDesk) -> None:
        await desk.tick()
        async with desk.signed_in() as browser:
            answer = await browser.post(
                "/api/call/SetMode", json={"mode": "MODE_HOLD", "reason": "filters are changed"}
            )
            await desk.tick()
            events = (await browser.get("/api/events")).json()["events"]

        assert answer.json()["mode"] == "MODE_HOLD"
        assert desk.controller.loop.state.mode.mode is Mode.HOLD
        (entry,) = audited(desk)
        assert (entry["who"], entry["reason"]) == ("ada", "filters are changed")
        assert [e["subject"] for e in events if e["code"] == "mode"] == ["hold", "auto"]

    play(fleet, scene)


def test_a_refusal_comes_in_the_words_of_the_operator_api(fleet: SmallFleet) -> None:
    async def scene(desk: ConsoleDesk) -> None:
        await desk.tick()
        async with desk.signed_in() as browser:

            async def said(method: str, body: dict[str, object]) -> tuple[int, str]:
                answer = await browser.post(f"/api/call/{method}", json=body)
                return answer.status_code, answer.json()["message"]

            no_reason = await said("SetMode", {"mode": "MODE_OFF"})
            unknown = await said("SetBudget", {"name": "moon", "budget_w": 1.0, "reason": "x"})
            odd = await said("SetMode", {"mood": "MODE_OFF"})
            absent = await said("Explode", {})

        assert no_reason[0] == 400
        assert "give a reason" in no_reason[1]
        assert unknown[0] == 404
        assert "site" in unknown[1]
        assert odd[0] == 400
        assert "mood" in odd[1]
        assert absent[0] == 404
        assert "SetMode" in absent[1]

    play(fleet, scene)


def test_a_page_of_another_site_cannot_call(fleet: SmallFleet) -> None:
    async def scene(desk: ConsoleDesk) -> None:
        await desk.tick()
        async with desk.signed_in() as browser:
            body = {"mode": "MODE_OFF", "reason": "x"}
            other = await browser.post(
                "/api/call/SetMode", json=body, headers={"Origin": "http://evil.example"}
            )
            rebound = await browser.get("/api/layout", headers={"Host": "evil.example"})

        assert other.status_code == 403
        assert rebound.status_code == 400
        assert audited(desk) == []

    play(fleet, scene)


def test_nobody_reads_where_readers_must_sign_in(fleet: SmallFleet) -> None:
    async def scene(desk: ConsoleDesk) -> None:
        await desk.tick()
        paths = ("layout", "stream", "history", "events", "decisions", "changes?group=node-1/0")
        async with desk.browser() as browser:
            codes = {(await browser.get(f"/api/{path}")).status_code for path in paths}
            asked = await browser.post("/api/call/GetStatus", json={})
        async with desk.signed_in() as browser:
            seen = await browser.get("/api/layout")

        assert codes == {401}
        assert asked.status_code == 403
        assert seen.status_code == 200

    play(fleet, scene, anonymous_read=False)


def test_a_session_ends_when_its_person_signs_out(fleet: SmallFleet) -> None:
    async def scene(desk: ConsoleDesk) -> None:
        await desk.tick()
        async with desk.signed_in() as browser:
            cookies = httpx.Cookies(browser.cookies)
            await browser.delete("/api/session")
            answer = await browser.get("/api/session", headers={"Cookie": _text(cookies)})

        assert answer.json()["control"] is False

    play(fleet, scene)


def _text(cookies: httpx.Cookies) -> str:
    return "; ".join(f"{name}={value}" for name, value in cookies.items())


def test_page_and_calls_carry_headers_that_keep_others_out(fleet: SmallFleet) -> None:
    async def scene(desk: ConsoleDesk) -> None:
        async with desk.browser() as browser:
            for path in ("/", "/static/js/main.js", "/api/session", "/api/layout"):
                headers = (await browser.get(path)).headers
                policy = headers["content-security-policy"]
                assert "script-src 'self'" in policy
                assert "unsafe" not in policy
                assert headers["x-content-type-options"] == "nosniff"
        async with desk.signed_in() as browser:
            (cookie,) = browser.cookies.jar

        assert cookie.has_nonstandard_attr("HttpOnly")
        assert cookie.get_nonstandard_attr("SameSite") == "strict"

    play(fleet, scene)
