"""The one place that knows httpx: resources of a Redfish service, read and changed.

Only GET, and PATCH of a control's ``SetPoint``. Nothing here can post an action: ``SetMode`` of a
cooling unit stops its pumps.
"""

import logging
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import httpx

from coolcap_agent.drivers.base import DeviceLost, DriverError, NotPermitted, ValueRefused

SERVICE_ROOT: Final = "/redfish/v1/"
PAGES_MAX: Final = 100
"""Pages of one collection that are followed before a service is taken to run in circles."""

Json = Mapping[str, object]

# A line per request would be several per second.
logging.getLogger("httpx").setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """How to reach a Redfish service."""

    url: str
    timeout_s: float
    ca_file: Path | None
    username: str
    password_file: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A resource as the service gave it; ``etag`` and ``date`` empty where it sent none."""

    body: Json
    etag: str
    date: str
    allow: str


class PreconditionError(DriverError):
    """The resource is not the one whose ETag was given; read it again."""


class RedfishClient:
    """One connection pool to one service."""

    def __init__(self, service: Service, *, of: str) -> None:
        """Open nothing yet, but read the password and the certificates.

        Args:
            service: How to reach it.
            of: Name of the device, for messages.

        Raises:
            DriverError: If a file cannot be read.
        """
        self._of = of
        auth = None
        verify: ssl.SSLContext | bool = service.url.startswith("https:")
        try:
            if service.password_file is not None:
                password = service.password_file.read_text(encoding="utf-8").strip()
                auth = httpx.BasicAuth(service.username, password)
            if service.ca_file is not None:
                verify = ssl.create_default_context(cafile=str(service.ca_file))
        except OSError as error:
            raise DriverError(f"{of}: cannot read {error.filename}: {error.strerror}") from error
        self._http = httpx.AsyncClient(
            base_url=service.url,
            timeout=service.timeout_s,
            auth=auth,
            verify=verify,
            headers={"OData-Version": "4.0", "Accept": "application/json"},
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def get(self, path: str) -> Resource:
        """Read a resource."""
        answer = await self._ask("GET", path)
        try:
            body = answer.json()
        except ValueError as error:
            raise DeviceLost(f"{self._of}: {path} is not JSON: {error}") from error
        if not isinstance(body, dict):
            raise DeviceLost(f"{self._of}: {path} is not a JSON object")
        return Resource(
            body=cast("Json", body),
            etag=answer.headers.get("ETag", str(body.get("@odata.etag", ""))),
            date=answer.headers.get("Date", ""),
            allow=answer.headers.get("Allow", ""),
        )

    async def get_members(self, collection: str) -> dict[str, Resource]:
        """Read all members of a collection at once, by path; the service must be able to expand."""
        members: dict[str, Resource] = {}
        path = f"{collection}?$expand=.($levels=1)"
        for _ in range(PAGES_MAX):
            page = await self.get(path)
            items = page.body.get("Members")
            for item in cast("list[object]", items) if isinstance(items, list) else []:
                if isinstance(item, dict) and isinstance(item.get("@odata.id"), str):
                    etag = str(item.get("@odata.etag", ""))
                    members[item["@odata.id"]] = Resource(
                        body=item, etag=etag, date=page.date, allow=""
                    )
            path = str(page.body.get("Members@odata.nextLink", ""))
            if not path:
                break
        return members

    async def patch_set_point(self, path: str, value: float, *, etag: str) -> None:
        """Change a control's set point if the resource is still the one with ``etag``.

        Raises:
            PreconditionError: If it has changed since.
        """
        headers = {"If-Match": etag} if etag else {}
        await self._ask("PATCH", path, json={"SetPoint": value}, headers=headers)

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        json: Json | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        try:
            answer = await self._http.request(method, path, json=json, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            said = str(error) or type(error).__name__
            raise DeviceLost(f"{self._of}: {method} {path} got no answer: {said}") from error
        if answer.is_success:
            return answer
        text = f"{self._of}: {method} {path}: {answer.status_code} {_message(answer)}"
        if answer.status_code in (401, 403, 405):
            raise NotPermitted(text)
        if answer.status_code in (412, 428):
            raise PreconditionError(text)
        if answer.status_code in (400, 409, 422):
            raise ValueRefused(text)
        if answer.status_code == 429 or answer.status_code >= 500:
            raise DeviceLost(text)
        raise DriverError(text)


def _message(answer: httpx.Response) -> str:
    """Return what the service says about a failure, in its own words where it has any."""
    try:
        error = answer.json()["error"]
        said = [info["Message"] for info in error.get("@Message.ExtendedInfo", ())]
        return "; ".join(said) or str(error["message"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return answer.reason_phrase
