"""Who looks at the console, and whether they may also control.

A browser proves who it is by a client certificate (the one ``coolcap`` commands use) or by a token
that is exchanged for a session cookie no script can read. Everybody else reads, or gets nothing.
"""

import asyncio
import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request

from coolcap_agent.rpc.roles import Caller, Role, roles_in

COOKIE: Final = "coolcap_session"
SESSION_S: Final = 12 * 3600.0
"""A working day; then the token is asked for again."""
SESSION_COUNT_MAX: Final = 100
GUESS_PAUSE_S: Final = 1.0
"""Time between two wrong tokens, whoever tries."""
CERTIFICATE: Final = "coolcap.certificate"
"""Key of the ASGI scope that holds what TLS proved, in the form of ``ssl.getpeercert``."""

ANONYMOUS: Final = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Session:
    name: str
    end_mono_s: float


class Access:
    """Knows tokens and sessions.

    Args:
        tokens: Names by token.
        anonymous_read: Whether those who prove nothing may read.
        mono_s: The host's monotonic clock.
    """

    def __init__(
        self,
        tokens: Mapping[str, str],
        *,
        anonymous_read: bool,
        mono_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tokens = {token.encode(): name for token, name in tokens.items()}
        self._everybody = frozenset({Role.READ}) if anonymous_read else frozenset[Role]()
        self._mono_s = mono_s
        self._sessions: dict[str, _Session] = {}
        self._guessing = asyncio.Lock()

    @property
    def takes_tokens(self) -> bool:
        """Return whether there is anybody who may sign in with a token."""
        return bool(self._tokens)

    def caller(self, request: Request) -> Caller:
        """Return who asks."""
        session = self._sessions.get(request.cookies.get(COOKIE, ""))
        if session is not None and session.end_mono_s > self._mono_s():
            return Caller(name=session.name, roles=frozenset({Role.CONTROL}))
        shown = request.scope.get(CERTIFICATE)
        if shown:
            caller = caller_of_certificate(shown)
            return Caller(name=caller.name, roles=caller.roles | self._everybody)
        return Caller(name=ANONYMOUS, roles=self._everybody)

    async def sign_in(self, token: str) -> tuple[str, str] | None:
        """Return a new session's id and the person's name; None, after a while, if it is wrong."""
        given = token.strip().encode()
        # Every token is compared, in full, so that the time says nothing about them.
        matches = [n for t, n in self._tokens.items() if hmac.compare_digest(t, given)]
        if not matches:
            async with self._guessing:
                await asyncio.sleep(GUESS_PAUSE_S)
            return None
        now_s = self._mono_s()
        self._sessions = {k: s for k, s in self._sessions.items() if s.end_mono_s > now_s}
        while len(self._sessions) >= SESSION_COUNT_MAX:
            del self._sessions[next(iter(self._sessions))]
        key = secrets.token_urlsafe(32)
        self._sessions[key] = _Session(name=matches[0], end_mono_s=now_s + SESSION_S)
        return key, matches[0]

    def sign_out(self, request: Request) -> None:
        """End the session of whoever asks."""
        self._sessions.pop(request.cookies.get(COOKIE, ""), None)


def caller_of_certificate(shown: Mapping[str, Any]) -> Caller:
    """Return whom a certificate names, by the rules of the gRPC servers."""
    names: list[str] = []
    uris: list[str] = []
    for kind, value in shown.get("subjectAltName", ()):
        if kind == "DNS":
            names.append(value)
        elif kind == "URI":
            uris.append(value)
    for part in shown.get("subject", ()):
        names += [value for key, value in part if key == "commonName"]
    return Caller(name=names[0] if names else "", roles=roles_in(uris))
