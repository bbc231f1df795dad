"""The Compose project, loaded by the reference implementation, and its copies of other files."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter import __version__
from programs import program, run, run_in_process

ROOT = Path(__file__).parent.parent.parent
COMPOSE = ROOT / "deploy" / "compose"
ADDRESSES = {"127.0.0.1:9093": "alertmanager:9093", "127.0.0.1:10058": "exporter:10058"}

both = pytest.mark.parametrize(
    "files", [("compose.yaml",), ("compose.yaml", "compose.real.yaml")], ids=["demo", "real"]
)


def loaded(files: tuple[str, ...]) -> dict[str, Any]:
    """Return the project as Compose parses it; unknown keys are errors."""
    command = [program("compose-spec"), "-format", "json", *(str(COMPOSE / name) for name in files)]
    ran = subprocess.run(command, cwd=COMPOSE, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    project: dict[str, Any] = json.loads(ran.stdout)
    return project


@both
def test_every_service_is_hardened_pinned_health_checked_and_local(files: tuple[str, ...]) -> None:
    services = loaded(files)["services"]
    assert services.keys() == {"exporter", "prometheus", "alertmanager", "grafana"}
    for name, service in services.items():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["restart"] == "unless-stopped"
        assert service["image"].rpartition(":")[2].lstrip("v").count(".") == 2
        # The exporter image has a health check of its own.
        assert ("healthcheck" in service) == (name != "exporter")
        assert {port["host_ip"] for port in service["ports"]} == {"127.0.0.1"}
        for word in ("PASSWORD", "SECRET", "TOKEN"):
            assert not [variable for variable in service.get("environment", {}) if word in variable]
    assert services["exporter"]["image"].endswith(f":{__version__}")


@both
def test_every_bind_mount_exists_and_is_read_only(files: tuple[str, ...]) -> None:
    mounts = [mount for service in loaded(files)["services"].values() for mount in service.get("volumes", ())]
    binds = [mount for mount in mounts if mount["type"] == "bind"]
    assert len(binds) >= 6
    for mount in binds:
        assert Path(mount["source"]).exists(), mount["source"]
        assert mount["read_only"] is True


async def test_the_exporter_accepts_the_configuration_with_secrets_as_files(tmp_path: Path) -> None:
    project = loaded(("compose.yaml", "compose.real.yaml"))
    exporter = project["services"]["exporter"]
    assert exporter["command"] == ["--config.file=/etc/sms-exporter/config.yml", "--state.path=/var/lib/sms-exporter"]
    assert ("exporter", "/var/lib/sms-exporter") in {(each["source"], each["target"]) for each in exporter["volumes"]}
    secrets = {f"/run/secrets/{secret['source']}" for secret in exporter["secrets"]}
    config = yaml.safe_load((COMPOSE / "config.yml").read_text(encoding="utf-8"))
    assert set(config["auth"].values()) == secrets
    assert all(Path(secret["file"]).parent == COMPOSE / "secrets" for secret in project["secrets"].values())
    assert "/secrets/" in (COMPOSE / ".gitignore").read_text(encoding="utf-8")
    for key, file in config["auth"].items():
        (tmp_path / Path(file).name).write_text("dummy")
        config["auth"][key] = str(tmp_path / Path(file).name)
    (tmp_path / "config.yml").write_text(yaml.safe_dump(config))
    status, _, errors = await run_in_process(f"--config.file={tmp_path / 'config.yml'}", "--config.check")
    assert status == 0, errors


async def test_the_prometheus_configuration_differs_only_in_addresses() -> None:
    text = (ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text(encoding="utf-8")
    for address, name in ADDRESSES.items():
        text = text.replace(address, name)
    assert (COMPOSE / "prometheus.yml").read_text(encoding="utf-8") == text, "run make compose"
    status, output, errors = await run(
        program("promtool"), "check", "config", "--syntax-only", str(COMPOSE / "prometheus.yml")
    )
    assert status == 0, output + errors
    services = loaded(("compose.yaml",))["services"]
    assert {name.partition(":")[0] for name in ADDRESSES.values()} <= services.keys()


def test_grafana_is_provisioned_with_prometheus_and_the_dashboards() -> None:
    (source,) = yaml.safe_load((COMPOSE / "grafana" / "datasource.yml").read_text(encoding="utf-8"))["datasources"]
    (provider,) = yaml.safe_load((COMPOSE / "grafana" / "dashboards.yml").read_text(encoding="utf-8"))["providers"]
    grafana = loaded(("compose.yaml",))["services"]["grafana"]
    mounted = {mount["target"]: mount["source"] for mount in grafana["volumes"] if mount["type"] == "bind"}
    assert (source["type"], source["url"], source["isDefault"]) == ("prometheus", "http://prometheus:9090", True)
    assert mounted[provider["options"]["path"]] == str(ROOT / "grafana" / "dashboards")
    home = Path(grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert home.parent == Path(provider["options"]["path"])
    assert (ROOT / "grafana" / "dashboards" / home.name).exists()
