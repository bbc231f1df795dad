"""The chart and the manifests, validated with the schemas of Kubernetes and the operator and with the exporter."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

from exporter import __version__
from exporter.settings.tree import WebSettings
from manifests import CHART, KUBERNETES, ROOT, Object, documents, helm, only, rendered, validate
from programs import program, run, run_in_process
from secure import USERS, Site
from tools.rules import render

VALUES = sorted((CHART / "ci").glob("*-values.yaml"))
EXAMPLE = {path.name.removesuffix("-values.yaml"): path for path in VALUES}
DASHBOARDS = sorted((ROOT / "grafana" / "dashboards").glob("*.json"))
RULES = sorted((ROOT / "deploy" / "prometheus" / "rules").glob("*.yml"))

every_set = pytest.mark.parametrize("values", [pytest.param(path, id=name) for name, path in EXAMPLE.items()])


def container(objects: Sequence[Object]) -> dict[str, Any]:
    found, *_ = only(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert found["name"] == "exporter"
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


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, path in EXAMPLE.items()
        if (values := yaml.safe_load(path.read_text(encoding="utf-8"))).get("config") and "extraEnvFrom" not in values
    ],
)
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
    status, output, errors = await run_in_process(*arguments, "--config.check")
    assert status == 0, errors
    assert "dummy" not in output
    assert ("web: TLS" in output) == (name == "tls")


def test_demo_and_environment_variables_need_no_configuration_file() -> None:
    demo, environment = (container(rendered(EXAMPLE[name])) for name in ("demo", "environment"))
    assert demo["args"] == ["demo", "--servers=250"]
    assert environment["args"] == ["--log.format=json"]
    assert environment["env"][-1] == {"name": "SMS_EXPORTER_API_REGION", "value": "my-kualalumpur-1"}
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
        ("config.web.listen_address=:9090", "'/config/web/listen_address'"),
        ("config.web.config_file=/web.yml", "'/config/web/config_file'"),
        ("extraArgs[0]=--web.route-prefix=/sms", "'/extraArgs/0'"),
        ("extraEnv[0].name=SMS_EXPORTER_WEB_EXTERNAL_URL", "'/extraEnv/0/name'"),
        ("extraArgs[0]=--web.telemetry-path=/m", "'/extraArgs/0'"),
        ("extraEnv[0].name=SMS_EXPORTER_WEB_LISTEN_ADDRESS", "'/extraEnv/0/name'"),
        ("replicaCount=2", "replicaCount is not a value of this chart: set replicas"),
        ("ingress.enabled=true", "put the Ingress into extraManifests"),
        ("persistence.size=many", "'/persistence/size'"),
        ("prometheusRule.enabled=true,prometheusRule.alerts.SmsNone.for=1m", "there is no alert of this name"),
        ("prometheusRule.deadlines[0].account=a,prometheusRule.deadlines[0].time=tomorrow", "/deadlines/0/time'"),
    ],
)
def test_an_invalid_value_is_rejected_by_its_path(values: str, error: str) -> None:
    errors = error_of("--set", f"demo.enabled=true,{values}")
    assert error in errors
    assert "s3cr3t" not in errors


def test_with_persistence_the_state_is_in_a_volume_that_one_pod_uses_at_a_time() -> None:
    objects = rendered(EXAMPLE["persistence"])
    deployment, claim = only(objects, "Deployment"), only(objects, "PersistentVolumeClaim")
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}
    volume = {"name": "state", "persistentVolumeClaim": {"claimName": claim["metadata"]["name"]}}
    assert volume in deployment["spec"]["template"]["spec"]["volumes"]
    (mount,) = (mount for mount in container(objects)["volumeMounts"] if mount["name"] == "state")
    assert f"--state.path={mount['mountPath']}" in container(objects)["args"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "5Gi"


def test_an_existing_claim_is_used_and_none_is_created() -> None:
    values = ("--values", EXAMPLE["persistence"], "--set", "persistence.existingClaim=mine")
    objects = documents(helm("template", "sms", CHART, *values))
    assert "PersistentVolumeClaim" not in {each["kind"] for each in objects}
    volumes = only(objects, "Deployment")["spec"]["template"]["spec"]["volumes"]
    assert {"name": "state", "persistentVolumeClaim": {"claimName": "mine"}} in volumes


def test_a_changed_configuration_replaces_the_pods() -> None:
    annotations = [
        only(rendered(EXAMPLE[name]), "Deployment")["spec"]["template"]["metadata"]["annotations"]["checksum/config"]
        for name in ("minimal", "tls")
    ]
    assert annotations[0] != annotations[1]


def test_with_automatic_reload_a_changed_configuration_does_not_replace_the_pods() -> None:
    def template(region: str) -> Object:
        values = ("--set", f"autoReload.enabled=true,config.api.region={region}")
        return dict(only(documents(helm("template", "sms", CHART, *values)), "Deployment")["spec"]["template"])

    assert template("cn-north-4") == template("ap-southeast-3")
    arguments = template("cn-north-4")["spec"]["containers"][0]["args"]
    assert arguments[1:] == ["--config.enable-auto-reload", "--config.auto-reload-interval=30s"]


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


def test_the_packaged_chart_contains_the_rule_and_dashboard_files(tmp_path: Path) -> None:
    helm("package", CHART, "--destination", tmp_path)
    (package,) = tmp_path.iterdir()
    objects = documents(helm("template", "sms", package, "--values", EXAMPLE["everything"]))
    rules = [each["spec"] for each in objects if each["kind"] == "PrometheusRule"]
    assert rules == list(render({"namespace": "default"}).values())
    data = {name: text for each in objects if each["kind"] == "ConfigMap" for name, text in each["data"].items()}
    for file in DASHBOARDS:
        assert data[f"sms-{file.name}"] == file.read_text(encoding="utf-8")


def test_the_chart_and_the_tool_for_plain_files_change_alerts_in_the_same_way(tmp_path: Path) -> None:
    settings = yaml.safe_load(EXAMPLE["alerts"].read_text(encoding="utf-8"))["prometheusRule"]
    del settings["enabled"]
    file = tmp_path / "settings.yml"
    file.write_text(yaml.safe_dump({**settings, "namespace": "default"}))
    command = [sys.executable, "-m", "tools.rules", str(file), str(tmp_path / "rules")]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    plain = [yaml.safe_load(each.read_text(encoding="utf-8")) for each in sorted((tmp_path / "rules").glob("*.yml"))]
    assert [each["spec"] for each in rendered(EXAMPLE["alerts"]) if each["kind"] == "PrometheusRule"] == plain
    rules = {rule.get("alert"): rule for each in plain for group in each["groups"] for rule in group["rules"]}
    late = rules["SmsServerLate"]
    assert (late["for"], late["keep_firing_for"]) == ("30m", "1h")
    labels = {"severity": "critical", "scope": "server", "name": "", "team": "migration"}
    labels |= {"page": "yes", "namespace": "default"}
    assert late["labels"] == labels
    assert late["annotations"]["runbook_url"] == "https://wiki.example/runbooks/SmsServerLate.md"
    assert late["annotations"]["dashboard_url"].startswith("https://grafana.example/d/huaweicloud-sms-server?")
    assert not {"SmsThrottled", "SmsSnapshotsNotCleared"} & rules.keys()
    deadlines = [
        rule for each in plain for group in each["groups"] if group["name"] == "sms-deadline" for rule in group["rules"]
    ]
    assert [rule["expr"] for rule in deadlines] == ["vector(7200)", "vector(1893823200)", "vector(1893880800)"]
    assert deadlines[2]["labels"] == {"account": "demo", "enterprise_project_id": "0a1b2c3d"}


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ("alert: {}", "alert: unknown setting; allowed are alertLabels"),
        ("alerts: {SmsNone: {for: 1m}}", "alerts.SmsNone: there is no alert of this name"),
        ("alerts: {SmsThrottled: {form: 1m}}", "alerts.SmsThrottled.form: unknown setting"),
        ("deadlines: [{account: a, time: tomorrow}]", "tomorrow"),
        ("maxSyncLagSeconds: 1h", "maxSyncLagSeconds: '1h' is not a whole number of seconds"),
    ],
)
def test_wrong_settings_of_rules_are_named(settings: str, error: str, tmp_path: Path) -> None:
    (tmp_path / "settings.yml").write_text(settings)
    command = [sys.executable, "-m", "tools.rules", str(tmp_path / "settings.yml"), str(tmp_path / "rules")]
    ran = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert ran.returncode == 1
    assert error in ran.stderr
    assert "Traceback" not in ran.stderr


@every_set
def test_ports_probes_service_and_monitor_follow_the_listen_address(values: Path) -> None:
    objects = rendered(values)
    web = {"port": 10058, "telemetryPath": "/metrics"} | yaml.safe_load(values.read_text(encoding="utf-8")).get(
        "web", {}
    )
    pod = container(objects)
    environment = {each["name"]: each.get("value") for each in pod["env"]}
    assert environment["SMS_EXPORTER_WEB_LISTEN_ADDRESS"] == f":{web['port']}"
    assert environment["SMS_EXPORTER_WEB_TELEMETRY_PATH"] == web["telemetryPath"]
    assert pod["ports"] == [{"name": "http", "containerPort": web["port"], "protocol": "TCP"}]
    assert only(objects, "Service")["spec"]["ports"][0]["targetPort"] == "http"
    for monitor in (each for each in objects if each["kind"] == "ServiceMonitor"):
        assert monitor["spec"]["endpoints"][0]["path"] == web["telemetryPath"]
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        assert pod.get(probe, {}).get("httpGet", {"port": "http"})["port"] == "http"


@pytest.mark.parametrize(
    "web",
    [
        {"external_url": "https://example.org/sms/"},
        {"external_url": "https://example.org"},
        {"external_url": "https://example.org/sms", "route_prefix": "/"},
        {"route_prefix": "/behind/proxy//"},
    ],
)
def test_probes_and_monitor_have_the_prefix_at_which_the_exporter_serves(web: Mapping[str, str]) -> None:
    prefix = WebSettings.model_validate(web).path_prefix
    objects = rendered(EXAMPLE["everything"], "--set-json", f"config.web={json.dumps(web)}")
    assert container(objects)["livenessProbe"]["httpGet"]["path"] == f"{prefix}/-/healthy"
    assert only(objects, "ServiceMonitor")["spec"]["endpoints"][0]["path"] == f"{prefix}/metrics"


@pytest.mark.parametrize("time", ["2030-02-30T06:00:00Z", "2030-13-01T06:00:00Z", "2030-01-01T25:00:00Z"])
def test_a_deadline_at_a_time_that_does_not_exist_is_rejected(time: str) -> None:
    deadlines = json.dumps([{"account": "a", "time": time}])
    errors = error_of(
        "--set", "demo.enabled=true,prometheusRule.enabled=true", "--set-json", f"prometheusRule.deadlines={deadlines}"
    )
    assert f'prometheusRule.deadlines: there is no time "{time}": write a time such as' in errors


def test_a_probe_that_is_null_is_left_out() -> None:
    assert "livenessProbe" not in container(rendered(EXAMPLE["blackbox"]))
    assert "readinessProbe" not in container(rendered(EXAMPLE["node-port"]))
    assert container(rendered(EXAMPLE["kube-state-metrics"]))["startupProbe"]["failureThreshold"] == 30


def test_all_objects_are_in_the_namespace_and_have_the_labels_of_the_values() -> None:
    for each in rendered(EXAMPLE["kube-state-metrics"]):
        if each["kind"] != "VerticalPodAutoscaler":
            assert each["metadata"]["namespace"] == {"ServiceMonitor": "prometheus"}.get(each["kind"], "monitoring")
            assert each["metadata"]["labels"]["team"] == "migration"
    monitor = only(rendered(EXAMPLE["kube-state-metrics"]), "ServiceMonitor")["spec"]
    assert monitor["namespaceSelector"] == {"matchNames": ["monitoring"]}
    assert monitor["sampleLimit"] == 500000


def test_on_openshift_user_and_group_are_assigned_by_the_platform() -> None:
    pod = only(rendered(EXAMPLE["openshift"]), "Deployment")["spec"]["template"]["spec"]
    assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


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


@pytest.mark.parametrize(
    ("arguments", "has_hint"),
    [
        (("config.api.region=ap-southeast-3",), True),
        (("config.account.name=shop",), False),
        (("config.accounts[0].name=shop",), False),
        (("demo.enabled=true",), False),
    ],
)
def test_the_notes_say_that_other_accounts_need_another_name_unless_there_is_one(
    arguments: Sequence[str], *, has_hint: bool
) -> None:
    options = [f"--set={each}" for each in (*arguments, "image.registry=registry.example.org")]
    notes = helm("install", "sms", CHART, "--dry-run=client", *options)
    assert ("config sets no account.name" in notes) is has_hint


async def test_the_examples_in_the_scaling_page_are_valid(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
    stateful, options, monitor, agent = re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    for manifest in (*yaml.safe_load_all(stateful), yaml.safe_load(monitor)):
        validate(manifest)
    for name in ("shop-ak", "shop-sk"):
        (tmp_path / name).write_text("key", encoding="utf-8")
    config = tmp_path / "0.yml"
    config.write_text(options.replace("/run/secrets/sms-exporter", str(tmp_path)), encoding="utf-8")
    status, output, errors = await run_in_process("check", f"--config.file={config}")
    assert status == 0, output + errors
    assert "shop" in output
    (tmp_path / "agent.yml").write_text(agent, encoding="utf-8")
    status, output, errors = await run(program("promtool"), "check", "config", "--agent", str(tmp_path / "agent.yml"))
    assert status == 0, output + errors
