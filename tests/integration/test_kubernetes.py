"""The chart and the manifests, validated with the schemas of Kubernetes and the operator and with the exporter."""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

from exporter import __version__
from manifests import CHART, KUBERNETES, ROOT, Object, documents, helm, only, rendered, validate
from programs import exporter_command, program, run
from secure import USERS, Site

VALUES = sorted((CHART / "ci").glob("*-values.yaml"))
EXAMPLE = {path.name.removesuffix("-values.yaml"): path for path in VALUES}
DASHBOARDS = sorted((ROOT / "grafana" / "dashboards").glob("*.json"))
RULES = sorted((ROOT / "deploy" / "prometheus" / "rules").glob("*.yml"))

every_set = pytest.mark.parametrize("values", [pytest.param(path, id=name) for name, path in EXAMPLE.items()])


def container(objects: Sequence[Object]) -> dict[str, Any]:
    (found,) = only(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    return dict(found)


def error_of(*arguments: str) -> str:
    """Return the error with which helm rejects values."""
    command = [program("helm"), "template", "sms", str(CHART), *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    return ran.stderr


@every_set
def test_helm_lint_passes(values: Path) -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", CHART, "--values", values)


@every_set
def test_rendered_objects_are_valid_for_kubernetes_and_the_operator(values: Path) -> None:
    objects = rendered(values)
    for each in objects:
        validate(each)
    names = [(each["kind"], each["metadata"]["name"]) for each in objects]
    assert len(set(names)) == len(names)
    assert all(len(name) <= 63 for _, name in names)


@every_set
def test_the_pod_meets_the_restricted_pod_security_standard(values: Path) -> None:
    pod = only(rendered(values), "Deployment")["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container(rendered(values))["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@every_set
def test_every_selector_matches_the_pod(values: Path) -> None:
    objects = rendered(values)
    template = only(objects, "Deployment")["spec"]["template"]
    selectors = []
    for each in objects:
        spec = each.get("spec", {})
        match each["kind"]:
            case "Service":
                selectors.append(spec["selector"])
            case "Deployment" | "PodDisruptionBudget":
                selectors.append(spec["selector"]["matchLabels"])
            case "NetworkPolicy":
                selectors.append(spec["podSelector"]["matchLabels"])
            case "ServiceMonitor":
                labels = only(objects, "Service")["metadata"]["labels"]
                assert spec["selector"]["matchLabels"].items() <= labels.items()
                assert spec["endpoints"][0]["port"] == only(objects, "Service")["spec"]["ports"][0]["name"]
    selectors += [
        each["labelSelector"]["matchLabels"] for each in template["spec"].get("topologySpreadConstraints", ())
    ]
    assert len(selectors) >= 2
    assert all(selector.items() <= template["metadata"]["labels"].items() for selector in selectors)


@pytest.mark.parametrize("name", [name for name in EXAMPLE if name not in {"demo", "environment"}])
async def test_the_exporter_accepts_the_rendered_configuration(name: str, tmp_path: Path) -> None:
    objects = rendered(EXAMPLE[name])
    mounted = {mount["mountPath"] for mount in container(objects)["volumeMounts"]}
    text = only(objects, "ConfigMap", only(objects, "Deployment")["metadata"]["name"])["data"]["config.yml"]
    for file in set(re.findall(r"/etc/sms-exporter/secrets/\S+", text)):
        assert str(Path(file).parent) in mounted
        here = tmp_path / file.removeprefix("/")
        here.parent.mkdir(parents=True, exist_ok=True)
        here.write_text("dummy")
    site = Site(tmp_path / "etc" / "sms-exporter" / "web", trustme.CA(), trustme.CA())
    site.folder.mkdir(parents=True)
    site.write(tls_server_config=site.certify(), basic_auth_users=USERS)
    config = tmp_path / "etc" / "sms-exporter" / "config" / "config.yml"
    config.parent.mkdir(parents=True)
    config.write_text(text.replace("/etc/", f"{tmp_path}/etc/"))
    arguments = [argument.replace("/etc/", f"{tmp_path}/etc/") for argument in container(objects)["args"]]
    status, output, errors = await run(*exporter_command(*arguments, "--config.check"))
    assert status == 0, errors
    assert "dummy" not in output
    assert ("web: TLS" in output) == (name == "tls")


def test_demo_and_environment_variables_need_no_configuration_file() -> None:
    demo, environment = (container(rendered(EXAMPLE[name])) for name in ("demo", "environment"))
    assert demo["args"] == ["demo", "--web.listen-address=:10058", "--servers=250"]
    assert environment["args"] == ["--log.format=json"]
    assert environment["env"] == [{"name": "SMS_EXPORTER_API_REGION", "value": "my-kualalumpur-1"}]
    assert environment["image"].partition("@")[2].startswith("sha256:")


def test_without_an_account_the_chart_fails_with_a_hint() -> None:
    assert "no account is given: describe it in config" in error_of()


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ("config.auth.secret_key=s3cr3t", "'/config/auth/secret_key'"),
        ("config.accounts[0].name=a,config.accounts[0].auth.password=s3cr3t", "'/config/accounts/0/auth/password'"),
        ("config.api.proxy=http://u:s3cr3t@proxy", "'/config/api/proxy'"),
        ("extraArgs[0]=--auth.secret-key=s3cr3t", "'/extraArgs/0'"),
        ("extraArgs[0]=--web.listen-address=:9090", "'/extraArgs/0'"),
        ("podLabels.app\\.kubernetes\\.io/name=x", "'app.kubernetes.io/name'"),
        ("podAnnotations.checksum/config=x", "'checksum/config'"),
        ("nameOverride=Foo_Bar", "'/nameOverride'"),
        ("replica=2", "'replica' not allowed"),
        ("replicas=two", "'/replicas'"),
        ("web.tls=true", "'/web/existingSecret'"),
        ("service.port=0", "'/service/port'"),
        ("serviceMonitor.interval=half a minute", "'/serviceMonitor/interval'"),
        ("image.digest=latest", "'/image/digest'"),
        ("secrets[0]=Not A Name", "'/secrets/0'"),
    ],
)
def test_an_invalid_value_is_rejected_by_its_path(values: str, error: str) -> None:
    errors = error_of("--set", f"demo.enabled=true,{values}")
    assert error in errors
    assert "s3cr3t" not in errors


def test_a_changed_configuration_replaces_the_pods() -> None:
    annotations = [
        only(rendered(EXAMPLE[name]), "Deployment")["spec"]["template"]["metadata"]["annotations"]["checksum/config"]
        for name in ("minimal", "tls")
    ]
    assert annotations[0] != annotations[1]


def test_with_tls_probes_and_scrapes_use_https() -> None:
    objects = rendered(EXAMPLE["tls"])
    assert only(objects, "ServiceMonitor")["spec"]["endpoints"][0]["scheme"] == "https"
    for probe in ("livenessProbe", "readinessProbe"):
        assert container(objects)[probe]["httpGet"]["scheme"] == "HTTPS"


def test_a_probe_with_another_handler_replaces_the_http_request() -> None:
    pod = container(rendered(EXAMPLE["everything"]))
    assert pod["readinessProbe"] == {"tcpSocket": {"port": "http"}, "timeoutSeconds": 5}
    assert pod["livenessProbe"]["httpGet"]["path"] == "/-/healthy"
    assert pod["livenessProbe"]["periodSeconds"] == 20


def test_the_chart_contains_the_rule_and_dashboard_files_unchanged(tmp_path: Path) -> None:
    helm("package", CHART, "--destination", tmp_path)
    (package,) = tmp_path.iterdir()
    objects = documents(helm("template", "sms", package, "--values", EXAMPLE["everything"]))
    rules = [each["spec"] for each in objects if each["kind"] == "PrometheusRule"]
    assert rules == [yaml.safe_load(file.read_text(encoding="utf-8")) for file in RULES]
    data = {name: text for each in objects if each["kind"] == "ConfigMap" for name, text in each["data"].items()}
    for file in DASHBOARDS:
        assert data[f"sms-{file.name}"] == file.read_text(encoding="utf-8")


def test_the_chart_has_the_version_of_the_exporter() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert chart["version"] == chart["appVersion"] == __version__


def test_the_kustomize_manifests_are_rendered_from_the_chart(tmp_path: Path) -> None:
    subprocess.run(["make", "--silent", "manifests", f"MANIFESTS={tmp_path}"], cwd=ROOT, check=True)
    made = sorted(file.relative_to(tmp_path) for file in tmp_path.rglob("*.yaml"))
    assert [str(name) for name in made] == ["base/manifests.yaml", "monitoring/manifests.yaml"]
    for name in made:
        checked_in = (KUBERNETES / "kustomize" / name).read_text(encoding="utf-8")
        assert checked_in == (tmp_path / name).read_text(encoding="utf-8"), "run make manifests"


def test_kustomize_builds_the_demo_with_monitoring_and_dashboards() -> None:
    command = [program("kustomize"), "build", str(KUBERNETES / "kustomize" / "demo")]
    objects = documents(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    for each in objects:
        validate(each)
        assert (each["kind"], each["metadata"].get("namespace")) in {(each["kind"], "sms-demo"), ("Namespace", None)}
    kinds = sorted(each["kind"] for each in objects)
    expected = ["ConfigMap"] * len(DASHBOARDS) + ["PrometheusRule"] * len(RULES)
    expected += ["Deployment", "Namespace", "NetworkPolicy", "Service", "ServiceAccount", "ServiceMonitor"]
    assert kinds == sorted(expected)
    dashboards = {text for each in objects if each["kind"] == "ConfigMap" for text in each["data"].values()}
    assert dashboards == {file.read_text(encoding="utf-8") for file in DASHBOARDS}
    assert not {"volumes", "volumeMounts"} & container(objects).keys()


async def test_the_examples_in_the_scaling_page_are_valid(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
    stateful, agent = re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    validate(yaml.safe_load(stateful))
    (tmp_path / "agent.yml").write_text(agent, encoding="utf-8")
    status, output, errors = await run(program("promtool"), "check", "config", "--agent", str(tmp_path / "agent.yml"))
    assert status == 0, output + errors
