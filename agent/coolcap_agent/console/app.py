"""The console's pages and calls. Everything is from this process: no CDN, no other host.

GET  /                    the page                 GET  /api/history?span=hour
GET  /api/layout          the hall as it stands    GET  /api/events
GET  /api/stream          the hall now (SSE)       GET  /api/decisions
POST /api/call/METHOD     the operator API         GET  /api/changes?group=NAME
GET, POST, DELETE /api/session                     who one is, sign in, sign out
"""

import dataclasses
import json
from collections.abc import Awaitable, Callable
from importlib import resources
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from coolcap_agent.console.access import COOKIE, SESSION_S, Access
from coolcap_agent.console.calls import CallRefusedError, call
from coolcap_agent.console.decisions_view import cap_changes, newest_decisions
from coolcap_agent.console.feed import Feed
from coolcap_agent.console.headers import Headers, same_origin
from coolcap_agent.rpc.roles import Role
from coolcap_proto.v1 import controller_pb2_grpc

STATIC: Final = Path(str(resources.files("coolcap_agent.console") / "static"))
BODY_BYTES_MAX: Final = 64 * 1024
DECISION_COUNT: Final = 60
CHANGE_COUNT: Final = 30

Answer = Callable[[Request], Awaitable[Response]]


def _problem(status: int, message: str) -> JSONResponse:
    return JSONResponse({"message": message}, status_code=status)


class ConsoleApp:
    """Answers browsers.

    Args:
        feed: What there is to show.
        service: The servicer of the operator API.
        access: Who may do what.
        hosts: Names browsers may use for this server.
        tls: Whether it is reached by HTTPS.
    """

    def __init__(
        self,
        feed: Feed,
        service: controller_pb2_grpc.ControllerServicer,
        access: Access,
        *,
        hosts: list[str],
        tls: bool,
    ) -> None:
        self._feed, self._service, self._access, self._tls = feed, service, access, tls
        self.asgi = Starlette(
            routes=[
                Route("/", self._page),
                Mount("/static", StaticFiles(directory=STATIC)),
                Route("/api/session", self._session, methods=["GET"]),
                Route("/api/session", self._sign_in, methods=["POST"]),
                Route("/api/session", self._sign_out, methods=["DELETE"]),
                Route("/api/layout", self._reads(self._layout)),
                Route("/api/stream", self._reads(self._stream)),
                Route("/api/history", self._reads(self._history)),
                Route("/api/events", self._reads(self._events)),
                Route("/api/decisions", self._reads(self._decisions)),
                Route("/api/changes", self._reads(self._changes)),
                Route("/api/call/{method}", self._call, methods=["POST"]),
            ],
            middleware=[
                Middleware(Headers),
                Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False),
            ],
        )

    def _reads(self, answer: Answer) -> Answer:
        """Return ``answer`` for those who may read."""

        async def checked(request: Request) -> Response:
            if not self._access.caller(request).may(Role.READ):
                return _problem(401, "sign in with a token or a client certificate to look")
            return await answer(request)

        return checked

    async def _page(self, request: Request) -> Response:
        text = (STATIC / "index.html").read_text(encoding="utf-8")
        return Response(text, media_type="text/html")

    async def _session(self, request: Request) -> Response:
        caller = self._access.caller(request)
        return JSONResponse(
            {
                "name": caller.name,
                "read": caller.may(Role.READ),
                "control": caller.may(Role.CONTROL),
                "tokens": self._access.takes_tokens,
            }
        )

    async def _sign_in(self, request: Request) -> Response:
        body = await self._body(request)
        if isinstance(body, Response):
            return body
        token = body.get("token")
        found = await self._access.sign_in(token if isinstance(token, str) else "")
        if found is None:
            return _problem(
                403, "this token is not known; the controller's `token_file` lists those that are"
            )
        answer = JSONResponse({"name": found[1]})
        answer.set_cookie(
            COOKIE,
            found[0],
            max_age=int(SESSION_S),
            httponly=True,
            samesite="strict",
            secure=self._tls,
        )
        return answer

    async def _sign_out(self, request: Request) -> Response:
        if not same_origin(request):
            return _problem(403, "the call comes from another site's page")
        self._access.sign_out(request)
        answer = JSONResponse({})
        answer.delete_cookie(COOKIE)
        return answer

    async def _layout(self, request: Request) -> Response:
        return JSONResponse(self._feed.layout)

    async def _stream(self, request: Request) -> Response:
        return StreamingResponse(
            self._feed.stream(),
            media_type="text/event-stream",
            headers={"X-Accel-Buffering": "no"},
        )

    async def _history(self, request: Request) -> Response:
        span = request.query_params.get("span", "hour")
        try:
            return JSONResponse(self._feed.past(span))
        except KeyError:
            return _problem(404, f"no span {span!r}, only hour, day and month")

    async def _events(self, request: Request) -> Response:
        rows = [
            {**dataclasses.asdict(one), "severity": int(one.severity)}
            for one in self._feed.controller.happenings()
        ]
        return JSONResponse({"events": rows})

    async def _decisions(self, request: Request) -> Response:
        controller = self._feed.controller
        rows = newest_decisions(
            controller.decisions.kept(), controller.config.layout, count=DECISION_COUNT
        )
        return JSONResponse({"decisions": rows})

    async def _changes(self, request: Request) -> Response:
        controller = self._feed.controller
        group = request.query_params.get("group", "")
        layout = controller.config.layout
        if group not in layout.group_names:
            return _problem(404, f"no control group {group!r} at site {layout.name}")
        rows = cap_changes(controller.decisions.kept(), layout, group, count=CHANGE_COUNT)
        return JSONResponse({"changes": rows})

    async def _call(self, request: Request) -> Response:
        body = await self._body(request)
        if isinstance(body, Response):
            return body
        address = "unknown" if request.client is None else request.client.host
        try:
            answer = await call(
                self._service,
                request.path_params["method"],
                body,
                caller=self._access.caller(request),
                address=address,
            )
        except CallRefusedError as error:
            return _problem(error.http_status, error.details)
        return JSONResponse(answer)

    async def _body(self, request: Request) -> dict[str, Any] | Response:
        """Return what was sent, or why it is not taken."""
        if not same_origin(request):
            return _problem(403, "the call comes from another site's page")
        content = b""
        async for chunk in request.stream():
            content += chunk
            if len(content) > BODY_BYTES_MAX:
                return _problem(413, f"more than {BODY_BYTES_MAX} bytes")
        try:
            body = json.loads(content)
        except ValueError:
            return _problem(400, "a JSON object is needed")
        return body if isinstance(body, dict) else _problem(400, "a JSON object is needed")
