"""The Dockerfile and the Kubernetes example name what exists and ask for no rights."""

import ast
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.serving.__main__ import parse

DOCKERFILE = Path("deploy/Dockerfile")
KUBERNETES = Path("deploy/kubernetes.yaml")


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"(?m)^#.*\n", "", DOCKERFILE.read_text()).replace("\\\n", " ")
    return [(line.split()[0], line.split(None, 1)[1]) for line in text.splitlines() if line.strip()]


def given(name: str) -> list[str]:
    return [rest for instruction, rest in instructions() if instruction == name]


def test_every_instruction_is_one_that_docker_knows() -> None:
    known = {"FROM", "RUN", "COPY", "WORKDIR", "ENV", "USER", "EXPOSE", "HEALTHCHECK"}
    assert {name for name, _ in instructions()} <= known | {"ENTRYPOINT", "CMD"}
    assert all("-slim" in source for source in given("FROM"))
    assert not any(":latest" in source for source in given("FROM"))


def test_what_is_copied_exists_and_is_let_through() -> None:
    let_through = Path("deploy/Dockerfile.dockerignore").read_text().splitlines()
    made = "models/repository"  # by the pipeline
    for copied in given("COPY"):
        if not copied.startswith("--from"):
            (source, _) = copied.split()
            assert source == made or Path(source).exists(), source
            assert any(source.startswith(line[1:]) for line in let_through if line[:1] == "!")


def test_every_module_that_the_server_imports_is_copied() -> None:
    copied = {copy.split()[0] for copy in given("COPY")}
    for package in ("core", "imaging", "inference", "serving"):
        assert f"pipeline/{package}" in copied
        for path in Path("pipeline", package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pipeline."):
                    assert "/".join((node.module or "").split(".")[:2]) in copied, path


def test_the_image_runs_unprivileged_with_arguments_that_the_server_takes() -> None:
    (user,) = given("USER")
    assert int(user) >= 10_000
    (entry,), (command,) = map(json.loads, given("ENTRYPOINT")), map(json.loads, given("CMD"))
    assert entry == ["python", "-m", "pipeline.serving"]
    arguments = parse(command)
    assert (str(arguments.model), arguments.host, arguments.port) == ("/models", "0.0.0.0", 8000)
    assert given("EXPOSE") == ["8000"]
    (check,) = given("HEALTHCHECK")
    (_, _, code) = json.loads(check.partition("CMD")[2])
    compile(code, "healthcheck", "exec")
    assert "/v2/health/ready" in code
    for command_line in given("RUN"):
        shlex.split(command_line)
        assert "--require-hashes" in command_line or "pip" not in command_line.split()


@pytest.fixture(scope="module")
def objects() -> dict[str, Any]:
    return {item["kind"]: item for item in yaml.safe_load_all(KUBERNETES.read_text())}


def test_kubernetes_objects_fit_together(objects: dict[str, Any]) -> None:
    versions = {kind: item["apiVersion"] for kind, item in objects.items()}
    assert versions == {
        "Deployment": "apps/v1",
        "Service": "v1",
        "PodDisruptionBudget": "policy/v1",
    }
    spec = objects["Deployment"]["spec"]
    labels = spec["template"]["metadata"]["labels"]
    assert spec["selector"]["matchLabels"] == labels
    assert objects["Service"]["spec"]["selector"] == labels
    assert objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert objects["PodDisruptionBudget"]["spec"]["minAvailable"] < spec["replicas"]


def test_the_pod_has_no_rights_and_time_to_leave(objects: dict[str, Any]) -> None:
    pod = objects["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    (uid,) = given("USER")
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == int(uid)
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False
    (_, seconds) = container["lifecycle"]["preStop"]["exec"]["command"]
    assert pod["terminationGracePeriodSeconds"] >= int(seconds) + 10
    assert {"cpu", "memory"} <= set(container["resources"]["limits"])
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}


def test_the_pods_arguments_and_probes_are_the_servers(objects: dict[str, Any]) -> None:
    (container,) = objects["Deployment"]["spec"]["template"]["spec"]["containers"]
    arguments = parse(container["args"])
    (port,) = container["ports"]
    assert arguments.port == port["containerPort"]
    assert objects["Service"]["spec"]["ports"][0]["targetPort"] == port["name"]
    (mount,) = container["volumeMounts"]
    assert str(arguments.api_key_file).startswith(mount["mountPath"] + "/")
    for probe, path in (("readinessProbe", "ready"), ("livenessProbe", "live")):
        found = container[probe]["httpGet"]
        assert found == {"path": f"/v2/health/{path}", "port": port["name"]}
