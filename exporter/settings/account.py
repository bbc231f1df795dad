"""The options of one account: its API, credentials, polls, filters and limits."""

import difflib
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, ByteSize, Field, SecretStr, field_validator, model_validator

from exporter.settings.certificates import check_ca_file
from exporter.settings.faults import Contradiction
from exporter.settings.quantities import AccountName, Duration, Group, InputFile, ProxyUrl, Size, Url, format_duration

REGION_ENDPOINTS: Final = {
    "cn-north-4": "https://sms.cn-north-4.myhuaweicloud.com",
    "ap-southeast-3": "https://sms.ap-southeast-3.myhuaweicloud.com",
    "my-kualalumpur-1": "https://sms.my-kualalumpur-1.myhuaweicloud.com",
    "ru-moscow-1": "https://sms-api.ru-moscow-1.myhuaweicloud.com",
}
"""Endpoints of the SMS API by region. The region of the API is not the region that servers migrate to."""


def _serving_region(region: str) -> str:
    """Return the region whose endpoint serves the servers of a region without an endpoint."""
    return "cn-north-4" if region.startswith("cn-") else "ap-southeast-3"


class ApiSettings(Group):
    """The SMS API."""

    region: str | None = Field(
        None,
        description=f"Region of the API: {', '.join(REGION_ENDPOINTS)}. Required, unless api.endpoint is set.",
    )
    endpoint: Url | None = Field(None, description="Base URL of the API, instead of the endpoint of the region.")
    paging: Literal["auto", "records", "pages"] = Field(
        "auto",
        description="What an offset of the API counts: records or pages; auto detects it.",
    )
    migrate_speed_unit: Literal["mbit", "mbyte"] = Field(
        "mbit",
        description="Unit of the speeds that the API reports: Mbit/s or MByte/s.",
    )
    concurrency: int = Field(6, ge=1, le=64, description="Maximum number of concurrent page requests.")
    connect_timeout: Duration = Field(
        10.0, gt=0, description="Timeout for a connection: name look-up, TCP, proxy and TLS."
    )
    read_timeout: Duration = Field(30.0, gt=0, description="Maximum time between two parts of a response.")
    max_response_size: Size = Field(
        ByteSize(8 * 2**20),
        gt=0,
        description="Maximum size of a response; a larger response fails the poll.",
    )

    rate_limit: float = Field(50.0, gt=0, le=1_000_000, description="Maximum requests per second.")
    proxy: ProxyUrl | None = Field(None, description="URL of the HTTP proxy, instead of HTTPS_PROXY and NO_PROXY.")
    ca_file: Annotated[Path, AfterValidator(check_ca_file)] | None = Field(
        None, description="File of CA certificates (PEM) to trust, instead of those of the system."
    )
    insecure_skip_verify: bool = Field(
        False, description="Do not verify the certificate of the API; for experiments only."
    )

    @field_validator("region")
    @classmethod
    def _check_region(cls, region: str | None) -> str | None:
        if region is None or region in REGION_ENDPOINTS:
            return region
        near = difflib.get_close_matches(region, REGION_ENDPOINTS, cutoff=0.85)
        instead = f"did you mean {near[0]}?" if near else f"for this region use {_serving_region(region)}"
        msg = f"SMS is served in {', '.join(REGION_ENDPOINTS)}; {instead}"
        raise ValueError(msg)

    @model_validator(mode="after")
    def _check_verification(self) -> Self:
        if self.insecure_skip_verify and self.ca_file:
            raise Contradiction("{} has no effect, because {} is set: keep one", "ca_file", "insecure_skip_verify")
        return self

    @property
    def url(self) -> str:
        """The base URL of the API; empty if neither endpoint nor region is set."""
        return self.endpoint or REGION_ENDPOINTS.get(self.region or "", "")


class IamSettings(Group):
    """The identity service (IAM) that issues tokens."""

    endpoint: Url | None = Field(
        None, description="Base URL of IAM, instead of the endpoint of the region or the global endpoint."
    )


class AuthSettings(Group):
    """Credentials. Set secrets in files or variables: flags are visible in the process list.

    A token, a user's password or an access key; if none is set, the default credential chain.

    Every secret can be in a file, which is read for every request; a password at each login.
    """

    token: SecretStr | None = Field(None, description="Token, sent as X-Auth-Token; valid for 24 hours.")
    token_file: InputFile | None = Field(None, description="File that contains the token.")
    user_name: str | None = Field(None, description="IAM user name, used with the password to obtain tokens.")
    password: SecretStr | None = Field(None, description="Password of the IAM user.")
    password_file: InputFile | None = Field(None, description="File that contains the password.")
    domain_name: str | None = Field(None, description="Account name (domain) of the IAM user.")
    domain_id: str | None = Field(None, description="Account ID (domain), sent as X-Domain-Id.")
    project_name: str | None = Field(
        None, description="Name of the project that tokens are scoped to (default: the whole account)."
    )
    project_id: str | None = Field(
        None,
        description="ID of the project that tokens are scoped to; with signed requests, sent as X-Project-Id.",
    )
    access_key: SecretStr | None = Field(None, description="Access key ID (AK), used to sign requests.")
    access_key_file: InputFile | None = Field(None, description="File that contains the access key ID.")
    secret_key: SecretStr | None = Field(None, description="Secret access key (SK).")
    secret_key_file: InputFile | None = Field(None, description="File that contains the secret access key.")
    security_token: SecretStr | None = Field(None, description="Security token of a temporary access key.")
    security_token_file: InputFile | None = Field(None, description="File that contains the security token.")
    metadata_endpoint: Url = Field(
        "http://169.254.169.254",
        description="Base URL of the ECS metadata service, part of the default credential chain.",
    )

    @model_validator(mode="after")
    def _check_combination(self) -> Self:
        for name in ("token", "password", "access_key", "secret_key", "security_token"):
            if getattr(self, name) and getattr(self, f"{name}_file"):
                raise Contradiction("{} and {} are both set: keep one", name, f"{name}_file")
        kinds = [name for name in ("token", "user_name", "access_key") if self._is_set(name)]
        if len(kinds) > 1:
            message = f"{' and '.join('{}' for _ in kinds)} are both set: keep one way to authenticate"
            raise Contradiction(message, *map(self._field_of, kinds))
        for name, required in (
            ("user_name", "password"),
            ("user_name", "domain_name"),
            ("password", "user_name"),
            ("access_key", "secret_key"),
            ("secret_key", "access_key"),
            ("security_token", "access_key"),
        ):
            if self._is_set(name) and not self._is_set(required):
                raise Contradiction("{} requires {}", self._field_of(name), self._field_of(required))
        for selected, without_effect in (
            ("token", ("domain_name", "domain_id", "project_name", "project_id")),
            ("user_name", ("domain_id",)),
            ("access_key", ("domain_name", "project_name")),
        ):
            for name in without_effect:
                if self._is_set(selected) and self._is_set(name):
                    raise Contradiction("{} has no effect with {}: remove it", name, self._field_of(selected))
        return self

    def _is_set(self, name: str) -> bool:
        """Return whether an option is set, as a value or as a file."""
        return bool(getattr(self, name) or getattr(self, f"{name}_file", None))

    def _field_of(self, name: str) -> str:
        """Return the field that sets an option; its file if neither does."""
        has_file = f"{name}_file" in type(self).model_fields
        return f"{name}_file" if has_file and not getattr(self, name) else name


class PollSettings(Group):
    """When the list of servers is read, and when it becomes stale."""

    interval: Duration = Field(60.0, ge=1, description="Poll interval.")
    timeout: Duration = Field(
        default_factory=lambda group: min(max(group.get("interval", 60.0), 10.0), 60.0),
        gt=0,
        description="Timeout for a complete poll, at most the interval (default: the interval, but at least 10s and at "
        "most 1m).",
    )
    stale_after: Duration = Field(
        default_factory=lambda group: max(3 * group.get("interval", 60.0), 300.0),
        description="Age at which data becomes stale while polls fail (default: three intervals, at least 5m).",
    )
    stale_policy: Literal["drop", "keep"] = Field("drop", description="Whether to drop or keep stale data.")

    @model_validator(mode="after")
    def _check_durations(self) -> Self:
        if "timeout" in self.model_fields_set and self.timeout > self.interval:
            message = f"{{}} ({format_duration(self.timeout)}) is above {{}} ({format_duration(self.interval)})"
            raise Contradiction(message, "timeout", "interval")
        # The data of a poll is this old when the next one succeeds at the last moment.
        if self.stale_after < self.interval + self.timeout:
            least = format_duration(self.interval + self.timeout)
            message = (
                f"{{}} ({format_duration(self.stale_after)}) is below {{}} and {{}} together: "
                f"write {least} or more, or data becomes stale although every poll succeeds"
            )
            raise Contradiction(message, "stale_after", "interval", "timeout")
        return self


class FilterSettings(Group):
    """Which servers are listed: query parameters of the API, passed through unchanged."""

    state: str | None = Field(None, description="Only servers in this state.")
    name: str | None = Field(None, description="Only servers with this name.")
    id: str | None = Field(None, description="Only the server with this ID.")
    ip: str | None = Field(None, description="Only servers with this IP address.")
    ipv6: str | None = Field(None, description="Only servers with this IPv6 address.")
    migproject: str | None = Field(None, description="Only servers of the migration project with this ID.")
    migration_cycle: str | None = Field(None, description="Only servers in this stage of the migration.")
    connected: bool | None = Field(
        None, description="The filter connected of the API, which does not document what it selects."
    )
    enterprise_project_id: str | None = Field(None, description="Only servers of this enterprise project.")
    is_consistency_result_exist: bool | None = Field(
        None,
        description="Only servers with (or without) a result of a consistency verification.",
    )
    vm_id: str | None = Field(None, description="Only servers whose cloned target server has this ID.")

    def query(self) -> dict[str, str]:
        """Return the query parameters."""
        given = self.model_dump(exclude_none=True)
        return {name: str(value).lower() if isinstance(value, bool) else value for name, value in given.items()}


class LimitSettings(Group):
    """How many series an account may have."""

    series: int = Field(
        0,
        ge=0,
        description="Series limit of an account (0: no limit); above it, whole collectors are dropped.",
    )


class AccountSettings(Group):
    """All options of one account at one endpoint."""

    name: AccountName = Field(min_length=1, max_length=255)
    api: ApiSettings = ApiSettings()
    iam: IamSettings = IamSettings()
    auth: AuthSettings = AuthSettings()
    poll: PollSettings = PollSettings()
    filter: FilterSettings = FilterSettings()
    limits: LimitSettings = LimitSettings()

    @property
    def iam_url(self) -> str:
        """The base URL of IAM: that of the option, else of the region, else the global endpoint."""
        region = f"{self.api.region}." if self.api.region else ""
        return self.iam.endpoint or f"https://iam.{region}myhuaweicloud.com"

    @model_validator(mode="after")
    def _check_endpoint(self) -> Self:
        if not self.api.url:
            msg = f"api.region or api.endpoint is required; the regions are {', '.join(REGION_ENDPOINTS)}"
            raise ValueError(msg)
        return self
