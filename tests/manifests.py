"""Rendering of the chart, and validation of objects with the schemas of Kubernetes and the Prometheus operator."""

import functools
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import jsonschema
import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from programs import TOOLS, program

ROOT: Final = Path(__file__).parent.parent
KUBERNETES: Final = ROOT / "deploy" / "kubernetes"
CHART: Final = KUBERNETES / "chart"
VERSIONS: Final = ("1.25", "1.31", "1.34", "1.37")
"""Kubernetes versions: the oldest that the chart supports up to the newest with schemas."""

OPERATOR: Final = "monitoring.coreos.com/"
AUTOSCALER: Final = "autoscaling.k8s.io/"
"""An example of extraManifests, whose schemas are not here."""
MODULE: Final = "github.com/prometheus-operator/prometheus-operator"

Object = dict[str, Any]

# Otherwise it would read the definitions of all kinds again for each object.
kubernetes_validate.utils.schema_contents = functools.cache(kubernetes_validate.utils.schema_contents)


def helm(*arguments: str | Path) -> str:
    """Run helm and return its output; an error fails the test."""
    ran = subprocess.run([program("helm"), *map(str, arguments)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@functools.cache
def rendered(values: Path, *arguments: str) -> Sequence[Object]:
    """Return the objects that the chart renders from a values file; `arguments` of helm change the values."""
    return documents(helm("template", "sms", CHART, "--values", values, "--kube-version", VERSIONS[0], *arguments))


def documents(text: str) -> Sequence[Object]:
    """Return the objects of a YAML stream."""
    return [document for document in yaml.load_all(text, yaml.CSafeLoader) if document]


def only(objects: Iterable[Object], kind: str, name: str = "") -> Object:
    """Return the only object of a kind (and name)."""
    (found,) = (each for each in objects if each["kind"] == kind and name in {"", each["metadata"]["name"]})
    return found


def validate(each: Object) -> None:
    """Validate an object against the schemas of its kind; unknown fields are errors."""
    if each["apiVersion"].startswith(OPERATOR):
        jsonschema.validate(each, operator_schemas()[each["kind"]])
        return
    if each["apiVersion"].startswith(AUTOSCALER):
        return
    for version in VERSIONS:
        kubernetes_validate.validate(each, version, strict=True)


@functools.cache
def operator_schemas() -> Mapping[str, Any]:
    """Return the schemas of the operator's kinds, from its Go module, which `make tools` downloads."""
    command = (program("go"), "list", "-m", "-f", "{{.Dir}}", MODULE)
    ran = subprocess.run(command, cwd=TOOLS.parent, capture_output=True, text=True, check=False)
    folder = Path(ran.stdout.strip()) / "example" / "prometheus-operator-crd"
    if not ran.stdout.strip() or not folder.is_dir():
        pytest.fail(f"{MODULE} is missing, run make tools; {ran.stderr}")
    schemas = {}
    for kind in ("servicemonitors", "prometheusrules"):
        text = (folder / f"monitoring.coreos.com_{kind}.yaml").read_text(encoding="utf-8")
        definition = yaml.load(text, yaml.CSafeLoader)["spec"]
        (version,) = (each for each in definition["versions"] if each["name"] == "v1")
        schemas[definition["names"]["kind"]] = _strict(version["schema"]["openAPIV3Schema"])
    return schemas


def _strict(schema: Any) -> Any:
    """Forbid additional properties in every object schema."""
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {key: _strict(value) for key, value in schema.items()}
    if isinstance(schema.get("pattern"), str):
        # Go accepts a flag after ^, Python does not.
        strict["pattern"] = schema["pattern"].replace("^(?i)", "(?i)^")
    if schema.get("type") == "object" and "properties" in schema:
        strict.setdefault("additionalProperties", False)
    return strict
