"""etcd as elector: a key under a lease of etcd's own, through its HTTP gateway.

Calls: https://etcd.io/docs/v3.5/dev-guide/api_grpc_gateway/ (etcd 3.4 and newer).
"""

import base64
from typing import Any, cast

from coolcap_agent.controller.elector_http import HttpElector


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


class EtcdElector(HttpElector):
    """Holds the office while its key exists with its name as value."""

    name = "etcd"
    _lease_id = ""

    async def _hold_office(self) -> bool:
        if not self._lease_id or not await self._renew():
            self._lease_id = (await self._call("lease/grant", {"TTL": str(self._ttl_s)}))["ID"]
        key = _base64(self._office)
        put = {"key": key, "value": _base64(self._candidate), "lease": self._lease_id}
        answer = await self._call(
            "kv/txn",
            {
                "compare": [{"key": key, "target": "CREATE", "create_revision": "0"}],
                "success": [{"request_put": put}],
                "failure": [{"request_range": {"key": key}}],
            },
        )
        if answer.get("succeeded"):
            return True
        found = answer["responses"][0]["response_range"].get("kvs", [])
        return bool(found) and found[0].get("lease") == self._lease_id

    async def _give_up(self) -> None:
        lease_id, self._lease_id = self._lease_id, ""
        if lease_id:
            await self._call("lease/revoke", {"ID": lease_id})

    async def _renew(self) -> bool:
        answer = await self._call("lease/keepalive", {"ID": self._lease_id})
        return int(answer.get("result", {}).get("TTL", 0)) > 0

    async def _call(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        response = await self._client.post(f"/v3/{path}", json=body)
        response.raise_for_status()
        return cast("dict[str, Any]", response.json())
