"""The tree of all options; those of an account are in `account`, how they are read in `loading`.

A field `b` of group `a` is the flag `--a.b`, the variable `SMS_EXPORTER_A_B` and the key `a: {b: …}` of
the configuration file; `_` of the field is `-` in the flag.
"""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from exporter.errors import mask_credentials
from exporter.settings.account import (
    AccountSettings,
    ApiSettings,
    AuthSettings,
    FilterSettings,
    IamSettings,
    LimitSettings,
    PollSettings,
)
from exporter.settings.faults import Contradiction, format_location, validate
from exporter.settings.options import Flag, Option, Tree, options
from exporter.settings.quantities import AccountName, Duration, Group, OutputDirectory, SocketAddresses, Url, Words

INFO_LABELS: Final = (
    "clone_id",
    "clone_name",
    "enterprise_project_id",
    "ip",
    "name",
    "os_type",
    "os_version",
    "target_project",
    "target_project_id",
    "target_region",
    "target_server_id",
    "target_server_name",
    "task_id",
    "task_name",
    "task_type",
    "template_id",
)
"""Labels of the _info metrics that can be removed."""

_PATH: Final = re.compile(r"/[^\s?#%{}]*")


class ConfigSettings(Group):
    """The configuration file."""

    file: Path | None = Field(
        None, description="YAML file with any of these options; flags and variables take precedence."
    )
    enable_auto_reload: bool = Field(
        False, description="Reload the configuration automatically when the content of the file has changed."
    )
    auto_reload_interval: Duration = Field(
        30.0, ge=1, description="Interval of the checks whether the configuration file has changed."
    )
    check: bool = Field(False, description="Check the configuration, as the command check does, and exit.")

    @model_validator(mode="after")
    def _check_auto_reload(self) -> Self:
        if self.enable_auto_reload and self.file is None:
            raise Contradiction("{} requires {}", "enable_auto_reload", "file")
        return self


class WebSettings(Group):
    """The HTTP server."""

    listen_address: SocketAddresses = Field(
        (":10058",),
        description="Address to listen on: HOST:PORT, or unix:/PATH for a Unix socket; can be repeated.",
    )
    systemd_socket: bool = Field(
        False, description="Listen on the sockets passed by systemd (socket activation) instead of an address."
    )
    config_file: Annotated[Path | None, Flag("web.config.file")] = Field(
        None,
        description="YAML file with TLS, users, headers and a rate limit, in the format of exporter-toolkit.",
    )
    telemetry_path: str = Field("/metrics", description="Path of the metrics.")
    external_url: Url | None = Field(
        None,
        description="URL at which clients reach the exporter, for example through a reverse proxy; used in /sd and, "
        "with its path, in the links of the pages.",
    )
    route_prefix: str | None = Field(
        None,
        description="Prefix of all paths, also of the probes (default: the path of web.external-url).",
    )
    grafana_url: Url | None = Field(
        None, description="URL of Grafana; the page of each server then links to its dashboard."
    )
    enable_lifecycle: bool = Field(
        False, description="Enable reloading the configuration via POST /-/reload, in addition to SIGHUP."
    )
    max_requests: int = Field(40, ge=0, description="Maximum number of concurrent scrapes (0: no limit).")
    probes_without_auth: bool = Field(
        False,
        description="Serve /-/healthy and /-/ready without authentication and rate limit, for the probes of an "
        "orchestrator; they only show whether the exporter runs and has polled.",
    )

    @property
    def link_prefix(self) -> str:
        """The path before the paths of all links: that of the external URL, if there is one."""
        if self.external_url is None:
            return (self.route_prefix or "").rstrip("/")
        return urlsplit(self.external_url).path.rstrip("/")

    @property
    def path_prefix(self) -> str:
        """The path before the paths of all routes."""
        return self.link_prefix if self.route_prefix is None else self.route_prefix.rstrip("/")

    @field_validator("telemetry_path", "route_prefix")
    @classmethod
    def _check_path(cls, path: str | None) -> str | None:
        if path is not None and not _PATH.fullmatch(path):
            msg = "write a path that begins with / and contains no blank and none of ? # % { }"
            raise ValueError(msg)
        return path

    @field_validator("telemetry_path")
    @classmethod
    def _check_unused(cls, path: str) -> str:
        used = {"/", "/probe", "/self", "/sd", "/config", "/polls", "/migrations", "/migrations.csv", "/favicon.ico"}
        if path.startswith(("/-/", "/servers")) or path in used:
            msg = f"{', '.join(sorted(used))} and paths that begin with /servers or /-/ are already in use"
            raise ValueError(msg)
        return path

    @model_validator(mode="after")
    def _check_sockets(self) -> Self:
        if self.systemd_socket and "listen_address" in self.model_fields_set:
            raise Contradiction("{} and {} are both set: keep one", "systemd_socket", "listen_address")
        return self


class StateSettings(Group):
    """What is saved for the next start."""

    path: OutputDirectory | None = Field(
        None,
        description="Directory in which the data of the accounts and the record of ended migrations are saved, so that "
        "a restart causes no gap; created if its parent exists.",
    )


class LogSettings(Group):
    """Logging, to standard error."""

    level: Literal["debug", "info", "warn", "error"] = Field("info", description="Minimum log level.")
    format: Literal["logfmt", "json"] = Field("logfmt", description="Log format.")


class AccountNameSettings(Group):
    """The name of the account."""

    name: AccountName = Field("default", min_length=1, max_length=255, description="Value of the label `account`.")


DETAIL_COLLECTORS: Final = ("errors", "task_details", "consistency", "projects")
"""The collectors that read more than the list of source servers."""


@dataclass(frozen=True, slots=True)
class DetailSettings:
    """Which collectors read more than the list of source servers, and once in how many polls."""

    collectors: tuple[str, ...] = ()
    polls: int = 1


NO_DETAILS: Final = DetailSettings()
"""Nothing else is read."""


class CollectorSettings(Group):
    """Which metrics are exposed."""

    servers: bool = Field(True, description="State, size, connection and dates of each source server.")
    tasks: bool = Field(True, description="The migration task of each source server.")
    checks: bool = Field(True, description="The environment checks of each source server.")
    disks: bool = Field(False, description="Disks, volumes and volume groups of each source server (many series).")
    errors: bool = Field(
        False,
        description="The error code of each failed source server. Reads a further list, GET /v3/errors: one request "
        "per 100 errors. Needs the IAM action sms:server:listErrors.",
    )
    task_details: bool = Field(
        False,
        description="Subtasks, load and network check of each migration task. Reads a further list, GET /v3/tasks: one "
        "request per 200 tasks. Needs the IAM action sms:server:listTask.",
    )
    consistency: bool = Field(
        False,
        description="The result of the last consistency verification of each source server. Sends one request per "
        "changed task with a result. Needs the IAM action sms:server:getConsistencyCheckResult.",
    )
    projects: bool = Field(
        False,
        description="The migration projects, and the source servers of each. Reads further lists, GET /v3/migprojects "
        "and that of the source servers of each project (at most 50): at least one request per project, and one per "
        "200 servers. Needs the IAM action sms:migproject:list.",
    )
    details_polls: int = Field(
        5,
        ge=1,
        le=1000,
        description="Number of poll intervals after which the collectors that send further requests (errors, "
        "task-details, consistency, projects) read their data again.",
    )
    state_set: bool = Field(
        False, description="Expose every possible state of a server as 0 or 1, instead of its current state only."
    )
    info_labels_include: Words = Field((), description="Labels to keep on _info metrics (default: all).")
    info_labels_exclude: Words = Field((), description="Labels to remove from _info metrics.")

    @property
    def details(self) -> DetailSettings:
        """Which collectors read more than the list of source servers, and how often."""
        return DetailSettings(tuple(name for name in DETAIL_COLLECTORS if getattr(self, name)), self.details_polls)

    @field_validator("info_labels_include", "info_labels_exclude")
    @classmethod
    def _check_labels(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := set(labels) - set(INFO_LABELS):
            wrong = ", ".join(map(mask_credentials, sorted(unknown)))
            msg = f"no _info metric has the label {wrong}; the labels are {', '.join(INFO_LABELS)}"
            raise ValueError(msg)
        return labels

    @model_validator(mode="after")
    def _check_selection(self) -> Self:
        if both := sorted({*self.info_labels_include} & {*self.info_labels_exclude}):
            message = f"{{}} and {{}} both contain {', '.join(both)}: keep one"
            raise Contradiction(message, "info_labels_include", "info_labels_exclude")
        return self


class Settings(Tree):
    """The whole tree of options."""

    model_config = SettingsConfigDict(env_prefix="SMS_EXPORTER_")

    FILE_ONLY = ("accounts",)
    MOST_USED: ClassVar[tuple[str, ...]] = (
        "config.file",
        "api.region",
        "auth.access_key_file",
        "auth.secret_key_file",
        "poll.interval",
        "web.listen_address",
        "log.level",
    )

    config: ConfigSettings = ConfigSettings()
    web: WebSettings = WebSettings()
    state: StateSettings = StateSettings()
    log: LogSettings = LogSettings()
    account: AccountNameSettings = AccountNameSettings()
    api: ApiSettings = ApiSettings()
    iam: IamSettings = IamSettings()
    auth: AuthSettings = AuthSettings()
    poll: PollSettings = PollSettings()
    filter: FilterSettings = FilterSettings()
    limits: LimitSettings = LimitSettings()
    collector: CollectorSettings = CollectorSettings()
    accounts: tuple[AccountSettings, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _inherit(cls, data: Any) -> Any:  # noqa: ANN401 - not yet validated
        """Fill in the defaults that a command changes, and the general options in each account of the list."""
        if not isinstance(data, dict):
            return data
        data = dict(data)
        for name, field in cls.model_fields.items():
            group = data.get(name, {})
            changed = field.default.model_dump(exclude_unset=True) if isinstance(field.default, Group) else {}
            if changed and isinstance(group, dict):
                data[name] = changed | group
        if isinstance(data.get("accounts"), list | tuple):
            data["accounts"] = [
                _inherited(entry, data) if isinstance(entry, dict) else entry for entry in data["accounts"]
            ]
        return data

    @field_validator("accounts")
    @classmethod
    def _check_names(cls, accounts: tuple[AccountSettings, ...]) -> tuple[AccountSettings, ...]:
        counts = Counter(account.name for account in accounts)
        if twice := sorted(name for name, count in counts.items() if count > 1):
            msg = f"the names of accounts must be unique; used twice: {', '.join(map(mask_credentials, twice))}"
            raise ValueError(msg)
        return accounts

    @model_validator(mode="after")
    def _check_account_name(self) -> Self:
        if self.accounts and "name" in self.account.model_fields_set:
            raise Contradiction("{} has no effect, because {} is set: remove one of them", "account.name", "accounts")
        return self

    def targets(self) -> tuple[AccountSettings, ...]:
        """Return the accounts to poll: those of the list, else the one that the options describe.

        Raise ConfigurationError if the options describe no endpoint.
        """
        if self.accounts:
            return self.accounts
        groups = {name: getattr(self, name) for name in AccountSettings.model_fields if name != "name"}
        account = validate(
            lambda: AccountSettings(name=self.account.name, **groups),
            AccountSettings,
            format_location,
        )
        return (account,)


def _inherited(entry: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    # Credentials are inherited as a whole: options of two accounts mixed would not authenticate.
    merged = {"auth": above["auth"], **entry} if "auth" in above else dict(entry)
    for group in ("api", "iam", "poll", "filter", "limits"):
        own, general = entry.get(group, {}), above.get(group, {})
        if isinstance(own, dict) and isinstance(general, dict):
            places = {"region", "endpoint"} if own.keys() & {"region", "endpoint"} else set()
            merged[group] = {key: value for key, value in general.items() if key not in places} | own
    return merged


LIVE: Final = frozenset({*AccountSettings.model_fields, "account", "accounts", "collector", "log"})
"""Groups whose changes take effect at a reload; all others need a restart."""


def without_fixed(before: Settings, after: Settings) -> tuple[Settings, tuple[str, ...]]:
    """Return `after` with the options that need a restart as in `before`, and the flags of those that differ."""
    fixed = [option for option in options(type(before)) if (option.group or option.name) not in LIVE]
    waiting = tuple(option.flag for option in fixed if _value(before, option) != _value(after, option))
    groups = {option.group or option.name for option in fixed}
    return after.model_copy(update={name: getattr(before, name) for name in groups}), waiting


def same_connection(before: AccountSettings, after: AccountSettings) -> bool:
    """Return whether both use the same connection: the same API, credentials and filters."""
    return after.model_copy(update={"poll": before.poll, "limits": before.limits}) == before


def same_list(before: AccountSettings, after: AccountSettings) -> bool:
    """Return whether both list the same servers, so that the known data stays valid."""
    return (before.api.url, before.filter) == (after.api.url, after.filter)


def _value(settings: Settings, option: Option) -> object:
    return getattr(getattr(settings, option.group) if option.group else settings, option.name)
