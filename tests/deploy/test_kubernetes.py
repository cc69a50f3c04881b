"""The manifests: valid by Kubernetes' schema, least privileges, a config the agent takes."""

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from coolcap_agent.node.config import read_node_config

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes" / "node"
VERSIONS = ("1.30", "1.33")


def rendered() -> list[dict[str, Any]]:
    """What `kubectl kustomize` makes of the folder: its resources, namespace, labels and images.

    Only what the kustomization uses is done; any other key fails.
    """
    plan = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
    assert set(plan) == {"apiVersion", "kind", "namespace", "resources", "labels", "images"}
    images = {image["name"]: f"{image['newName']}:{image['newTag']}" for image in plan["images"]}
    found = []
    for name in plan["resources"]:
        for resource in yaml.safe_load_all((FOLDER / name).read_text()):
            if resource["kind"] != "Namespace":
                resource["metadata"]["namespace"] = plan["namespace"]
            for entry in plan["labels"]:
                assert set(entry) == {"pairs"}
                resource["metadata"].setdefault("labels", {}).update(entry["pairs"])
            for container in containers(resource):
                container["image"] = images[container["image"]]
            found.append(resource)
    return found


def containers(resource: dict[str, Any]) -> list[dict[str, Any]]:
    return list(pod_of(resource).get("containers", ()))


def pod_of(resource: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = resource.get("spec", {}).get("template", {}).get("spec", {})
    return found


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("resource", rendered(), ids=lambda resource: resource["kind"])
def test_manifest_is_valid(resource: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(resource, version, strict=True)


def test_a_mistake_in_a_manifest_would_be_found() -> None:
    daemon_set = next(r for r in rendered() if r["kind"] == "DaemonSet")
    daemon_set["spec"]["template"]["spec"]["hostNetwrok"] = True

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(daemon_set, VERSIONS[0], strict=True)


def test_every_file_of_the_folder_is_part_of_it() -> None:
    plan = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())

    names = {path.name for path in FOLDER.glob("*.yaml")} - {"kustomization.yaml"}
    assert names == set(plan["resources"])


def test_agent_has_one_capability_and_no_write_access_but_its_state() -> None:
    daemon_set = next(r for r in rendered() if r["kind"] == "DaemonSet")
    (agent,) = containers(daemon_set)
    pod, security = pod_of(daemon_set), agent["securityContext"]

    assert security["capabilities"] == {"drop": ["ALL"], "add": ["SYS_ADMIN"]}
    assert (security["privileged"], security["allowPrivilegeEscalation"]) == (False, False)
    assert security["readOnlyRootFilesystem"]
    assert security["seccompProfile"]["type"] == "RuntimeDefault"
    assert not pod["automountServiceAccountToken"]
    assert {"hostPID", "hostIPC"}.isdisjoint(pod)
    writable = [m["name"] for m in agent["volumeMounts"] if not m.get("readOnly")]
    assert writable == ["state"]


def test_every_mount_has_its_volume_and_the_service_account_exists() -> None:
    resources = {r["kind"]: r for r in rendered()}
    pod = pod_of(resources["DaemonSet"])
    (agent,) = containers(resources["DaemonSet"])

    assert {m["name"] for m in agent["volumeMounts"]} == {v["name"] for v in pod["volumes"]}
    assert pod["serviceAccountName"] == resources["ServiceAccount"]["metadata"]["name"]
    assert pod["volumes"][0]["configMap"]["name"] == resources["ConfigMap"]["metadata"]["name"]
    labels = resources["DaemonSet"]["spec"]["template"]["metadata"]["labels"]
    assert resources["DaemonSet"]["spec"]["selector"]["matchLabels"].items() <= labels.items()


def test_config_of_the_manifest_is_one_the_agent_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config_map = next(r for r in rendered() if r["kind"] == "ConfigMap")
    for name, text in config_map["data"].items():
        (tmp_path / name).write_text(text)
    monkeypatch.setenv("NODE_NAME", "gpu-17")

    config = read_node_config(tmp_path / "node.toml")

    assert config.agent.agent_id == "gpu-17"
    assert config.limits.common.power_cap_min_w == 300.0
    state = next(
        v for v in pod_of(next(r for r in rendered() if r["kind"] == "DaemonSet"))["volumes"]
        if v["name"] == "state"
    )  # fmt: skip
    assert str(config.agent.state_dir) == state["hostPath"]["path"]
