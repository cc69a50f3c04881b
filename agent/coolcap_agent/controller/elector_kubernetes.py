"""A Kubernetes Lease as elector: ``coordination.k8s.io/v1``.

A Lease has no clock of its own: a candidate takes an office whose record has not changed for the
record's own duration, by the candidate's monotonic clock. Writes carry the version that was read,
so that of two candidates one is refused.
https://kubernetes.io/docs/concepts/architecture/leases/
"""

import math
from datetime import UTC, datetime
from typing import Any, cast

import httpx

from coolcap_agent.controller.elector_http import HttpElector


class KubernetesElector(HttpElector):
    """Holds the office while the Lease names it and is renewed."""

    name = "kubernetes"
    _seen: tuple[object, object] = (None, None)
    _seen_mono_s = math.inf

    async def _hold_office(self) -> bool:
        found = await self._client.get(self._path)
        if found.status_code == 404:
            record = {"metadata": {"name": self._lease}, "spec": self._spec({})}
            made = await self._client.post(self._path.rsplit("/", 1)[0], json=self._whole(record))
            return self._taken(made)
        found.raise_for_status()
        record = cast("dict[str, Any]", found.json())
        spec = record.get("spec", {})
        if not self._may_take(spec):
            return False
        record["spec"] = self._spec(spec)
        put = await self._client.put(self._path, json=self._whole(record))
        return self._taken(put)

    async def _give_up(self) -> None:
        found = await self._client.get(self._path)
        if found.status_code == 404:
            return
        found.raise_for_status()
        record = found.json()
        if record.get("spec", {}).get("holderIdentity") == self._candidate:
            record["spec"] = {**record["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
            await self._client.put(self._path, json=self._whole(record))

    @property
    def _lease(self) -> str:
        return self._office.split("/")[1]

    @property
    def _path(self) -> str:
        namespace, name = self._office.split("/")
        return f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{name}"

    def _may_take(self, spec: dict[str, Any]) -> bool:
        """Return whether the office is ours, free, or its holder silent for its whole term."""
        holder = spec.get("holderIdentity")
        if not holder or holder == self._candidate:
            return True
        now = (holder, spec.get("renewTime"))
        if now != self._seen:
            self._seen, self._seen_mono_s = now, self._mono_s()
        return self._mono_s() - self._seen_mono_s > float(spec.get("leaseDurationSeconds") or 0)

    def _spec(self, before: dict[str, Any]) -> dict[str, Any]:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        mine = before.get("holderIdentity") == self._candidate
        return {
            "holderIdentity": self._candidate,
            "leaseDurationSeconds": self._ttl_s,
            "acquireTime": before["acquireTime"] if mine and "acquireTime" in before else now,
            "renewTime": now,
            "leaseTransitions": int(before.get("leaseTransitions") or 0) + (0 if mine else 1),
        }

    def _whole(self, record: dict[str, Any]) -> dict[str, Any]:
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", **record}

    def _taken(self, response: httpx.Response) -> bool:
        if response.status_code == 409:
            return False  # another candidate was quicker
        response.raise_for_status()
        return True
