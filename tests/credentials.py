"""Credentials of the simulator, for tests."""

from collections.abc import Mapping
from pathlib import Path

from aiohttp import web

from exporter.polling.connections import Runtime, account_credentials
from exporter.settings import Settings
from exporter.simulator import Simulator
from support import NOWHERE, FakeClock, Scrape, Unobserved, exporting, scrape

HOUR = 3600.0


def options_of(simulator: Simulator, way: str, folder: Path) -> dict[str, object]:
    """Return the options for one kind of credentials, with its secrets in files if `way` says so."""
    user, key = simulator.user, simulator.access_key
    password = {"user_name": user.name, "domain_name": user.domain}
    secrets = {"token": simulator.token, "password": user.password, "access_key": key.ak, "secret_key": key.sk}
    files = {}
    for name, value in secrets.items():
        files[name] = folder / name
        files[name].write_text(f"{value}\n")
    ways: dict[str, dict[str, object]] = {
        "token": {"token": simulator.token},
        "token file": {"token_file": files["token"]},
        "password, project": {**password, "password": user.password, "project_name": user.project},
        "password, account": {**password, "password": user.password},
        "password file": {**password, "password_file": files["password"], "project_name": user.project},
        "access key": {"access_key": key.ak, "secret_key": key.sk},
        "access key with ids": {"access_key": key.ak, "secret_key": key.sk, "project_id": "p1", "domain_id": "d1"},
        "access key files": {"access_key_file": files["access_key"], "secret_key_file": files["secret_key"]},
    }
    return ways[way]


async def seen_with(
    simulator: Simulator,
    clock: FakeClock,
    auth: Mapping[str, object],
    environ: Mapping[str, str] | None = None,
    home: Path = NOWHERE,
) -> Scrape:
    async with exporting(simulator, clock, auth=auth, environ=environ, home=home) as service:
        return await scrape(service.urls[0])


def filled(variables: Mapping[str, str], simulator: Simulator) -> dict[str, str]:
    user, key = simulator.user, simulator.access_key
    values = {
        "ak": key.ak, "sk": key.sk, "token": simulator.token, "user": user.name, "password": user.password,
        "domain": user.domain, "project": user.project, "url": simulator.url,
    }  # fmt: skip
    return {name: value.format(**values) for name, value in variables.items()}


def tree(simulator: Simulator, **auth: object) -> Settings:
    return Settings.model_validate(
        {"api": {"endpoint": simulator.url}, "auth": {"metadata_endpoint": "http://127.0.0.1:9", **auth}},
    )


async def source_of(options: Settings, runtime: Runtime) -> str:
    """Return what the account would authenticate with."""
    async with account_credentials(options.targets()[0], Unobserved(), runtime) as credentials:
        return credentials.source


def issued(token: str, expires_at: str) -> web.Response:
    return web.json_response({"token": {"expires_at": expires_at}}, status=201, headers={"X-Subject-Token": token})
