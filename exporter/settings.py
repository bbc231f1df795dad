"""Every option of the exporter: its name, type, default and meaning. How they are read: `configuration`.

A field `b` of group `a` is the flag `--a.b`, the variable `SMS_EXPORTER_A_B` and the key `a: {b: …}` of
the configuration file; `_` of the field is `-` in the flag.
"""

from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    FilePath,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from exporter.config_file import ConfigFileSource
from exporter.quantities import Duration, Url, parse_listen_address

REGION_ENDPOINTS: Final = {
    "cn-north-4": "https://sms.cn-north-4.myhuaweicloud.com",
    "ap-southeast-3": "https://sms.ap-southeast-3.myhuaweicloud.com",
    "my-kualalumpur-1": "https://sms.my-kualalumpur-1.myhuaweicloud.com",
    "ru-moscow-1": "https://sms-api.ru-moscow-1.myhuaweicloud.com",
}
"""Where SMS is served. The region of the API is not the region that servers migrate to."""


class Group(BaseModel):
    """Base of the groups: strict about names, fixed once read, silent about secrets in errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class ConfigSettings(Group):
    """The configuration itself."""

    file: Path | None = Field(
        None, description="YAML file with any of these options; flags and variables win."
    )
    check: bool = Field(False, description="Check the configuration, say what was found, and exit.")


def _split(value: object) -> object:
    return value.replace(",", " ").split() if isinstance(value, str) else value


class WebSettings(Group):
    """What the exporter serves."""

    listen_address: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)] = Field(
        (":10058",),
        min_length=1,
        description="Address to serve on, as HOST:PORT; repeat it for several.",
    )
    telemetry_path: str = Field("/metrics", pattern=r"^/[^\s?#{}]+$", description="Path of the metrics.")

    @field_validator("listen_address")
    @classmethod
    def _readable(cls, addresses: tuple[str, ...]) -> tuple[str, ...]:
        for address in addresses:
            parse_listen_address(address)
        return addresses

    @field_validator("telemetry_path")
    @classmethod
    def _free(cls, path: str) -> str:
        if path.startswith("/-/"):
            msg = "paths below /-/ are the exporter's own"
            raise ValueError(msg)
        return path


class LogSettings(Group):
    """What the exporter logs, to standard error."""

    level: Literal["debug", "info", "warn", "error"] = Field("info", description="Lowest severity logged.")
    format: Literal["logfmt", "json"] = Field("logfmt", description="Format of a line.")


class AccountNameSettings(Group):
    """The name of the account."""

    name: str = Field("default", min_length=1, max_length=255, description="Value of the label `account`.")


class ApiSettings(Group):
    """The SMS API."""

    region: str | None = Field(None, description=f"Region of the API: {', '.join(REGION_ENDPOINTS)}.")
    endpoint: Url | None = Field(None, description="Base URL of the API, instead of the region's.")
    paging: Literal["auto", "records", "pages"] = Field(
        "auto",
        description="What the API means by an offset: records, pages, or find out.",
    )
    migrate_speed_unit: Literal["mbit", "mbyte"] = Field(
        "mbit",
        description="What the API means by a speed: Mbit/s or MByte/s.",
    )
    concurrency: int = Field(6, ge=1, le=64, description="Most page requests at once.")
    connect_timeout: Duration = Field(10.0, gt=0, description="Longest wait for a connection.")
    read_timeout: Duration = Field(30.0, gt=0, description="Longest silence of a response.")
    max_response_size: ByteSize = Field(
        ByteSize(32 * 2**20),
        gt=0,
        description="Largest response read, such as 32MiB; a larger one is refused.",
    )

    rate_limit: float = Field(50.0, gt=0, description="Most requests a second.")
    proxy: Url | None = Field(None, description="Outbound proxy; else HTTPS_PROXY and NO_PROXY are obeyed.")
    ca_file: FilePath | None = Field(None, description="CA bundle (PEM) to trust instead of the system's.")
    insecure_skip_verify: bool = Field(False, description="Trust any certificate: for experiments only.")

    @field_validator("region")
    @classmethod
    def _served(cls, region: str | None) -> str | None:
        if region is not None and region not in REGION_ENDPOINTS:
            msg = f"SMS is served in {', '.join(REGION_ENDPOINTS)}; for another one give api.endpoint"
            raise ValueError(msg)
        return region

    @property
    def url(self) -> str:
        """The base URL in force; empty where neither endpoint nor region is given."""
        return self.endpoint or REGION_ENDPOINTS.get(self.region or "", "")


class IamSettings(Group):
    """The identity service that sells tokens."""

    endpoint: Url | None = Field(
        None, description="Base URL of IAM, instead of the region's or the global one."
    )


class AuthSettings(Group):
    """How the exporter authenticates: a token, a user's password or an access key; else the default chain.

    Every secret may be in a file, which is read again when it is renewed or refused.
    """

    token: SecretStr | None = Field(None, description="Token sent as X-Auth-Token (lives 24 hours).")
    token_file: FilePath | None = Field(None, description="File with the token.")
    user_name: str | None = Field(None, description="IAM user whose password buys tokens.")
    password: SecretStr | None = Field(None, description="Password of the IAM user.")
    password_file: FilePath | None = Field(None, description="File with the password.")
    domain_name: str | None = Field(None, description="Account (domain) that the IAM user belongs to.")
    domain_id: str | None = Field(None, description="ID of the account (domain), sent as X-Domain-Id.")
    project_name: str | None = Field(None, description="Project that tokens are for; else the whole account.")
    project_id: str | None = Field(None, description="ID of that project; sent as X-Project-Id when signing.")
    access_key: SecretStr | None = Field(None, description="Access key ID (AK) that signs requests.")
    access_key_file: FilePath | None = Field(None, description="File with the access key ID.")
    secret_key: SecretStr | None = Field(None, description="Secret access key (SK).")
    secret_key_file: FilePath | None = Field(None, description="File with the secret access key.")
    security_token: SecretStr | None = Field(None, description="Security token of a temporary access key.")
    security_token_file: FilePath | None = Field(None, description="File with the security token.")
    metadata_endpoint: Url = Field(
        "http://169.254.169.254",
        description="Base URL of the ECS metadata service, the default chain's last resort.",
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for name in ("token", "password", "access_key", "secret_key", "security_token"):
            if getattr(self, name) and getattr(self, f"{name}_file"):
                option = f"auth.{name.replace('_', '-')}"
                msg = f"{option} and {option}-file are both given: keep one"
                raise ValueError(msg)
        ways = {
            "auth.token": self.gives("token"),
            "auth.user-name": bool(self.user_name),
            "auth.access-key": self.gives("access_key"),
        }
        chosen = [option for option, given in ways.items() if given]
        if len(chosen) > 1:
            msg = f"{' and '.join(chosen)} are both given: keep one way to authenticate"
            raise ValueError(msg)
        needs = (
            (bool(self.user_name), self.gives("password"), "auth.user-name needs auth.password-file"),
            (bool(self.user_name), bool(self.domain_name), "auth.user-name needs auth.domain-name"),
            (self.gives("password"), bool(self.user_name), "auth.password needs auth.user-name"),
            (
                self.gives("access_key"),
                self.gives("secret_key"),
                "auth.access-key needs auth.secret-key-file",
            ),
            (self.gives("secret_key"), self.gives("access_key"), "auth.secret-key needs auth.access-key"),
            (
                self.gives("security_token"),
                self.gives("access_key"),
                "auth.security-token needs auth.access-key",
            ),
        )
        for given, met, msg in needs:
            if given and not met:
                raise ValueError(msg)
        return self

    def gives(self, name: str) -> bool:
        """Tell whether the secret `name` is given, as a value or a file."""
        return bool(getattr(self, name) or getattr(self, f"{name}_file"))


class PollSettings(Group):
    """When the list is read, and how long it is believed."""

    interval: Duration = Field(60.0, ge=1, description="Time from poll to poll.")
    timeout: Duration = Field(60.0, gt=0, description="Longest time of a whole poll.")
    stale_after: Duration | None = Field(
        None,
        gt=0,
        description="How long the last list is served when polls fail (three intervals, at least 5m).",
    )
    stale_policy: Literal["drop", "keep"] = Field("drop", description="What becomes of the list then.")

    @property
    def grace(self) -> float:
        """Seconds that a snapshot is served without a newer one."""
        return self.stale_after or max(3 * self.interval, 300.0)


class CollectorSettings(Group):
    """What is told of each server."""

    servers: bool = Field(True, description="State, sizes, connection and dates of each server.")


class AccountSettings(Group):
    """One account at one endpoint: a target of the exporter, complete."""

    name: str
    api: ApiSettings
    iam: IamSettings
    auth: AuthSettings
    poll: PollSettings

    @property
    def iam_url(self) -> str:
        """The base URL of IAM in force: the option's, the region's own, else the global one."""
        region = f"{self.api.region}." if self.api.region else ""
        return self.iam.endpoint or f"https://iam.{region}myhuaweicloud.com"

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if not self.api.url:
            msg = f"api.region or api.endpoint is needed; the regions are {', '.join(REGION_ENDPOINTS)}"
            raise ValueError(msg)
        return self


class Settings(BaseSettings):
    """The whole tree of options."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        env_prefix="SMS_EXPORTER_",
        env_nested_delimiter="_",
        env_nested_max_split=1,
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_hide_none_type=True,
        cli_avoid_json=True,
        nested_model_default_partial_update=True,
    )

    config: ConfigSettings = ConfigSettings()
    web: WebSettings = WebSettings()
    log: LogSettings = LogSettings()
    account: AccountNameSettings = AccountNameSettings()
    api: ApiSettings = ApiSettings()
    iam: IamSettings = IamSettings()
    auth: AuthSettings = AuthSettings()
    poll: PollSettings = PollSettings()
    collector: CollectorSettings = CollectorSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read the file after flags and environment, which may name it."""
        del dotenv_settings, file_secret_settings
        return init_settings, env_settings, ConfigFileSource(settings_cls)

    def accounts(self) -> tuple[AccountSettings, ...]:
        """Give every account to poll, complete with its defaults."""
        return (
            AccountSettings(
                name=self.account.name,
                api=self.api,
                iam=self.iam,
                auth=self.auth,
                poll=self.poll,
            ),
        )
