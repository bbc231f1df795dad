"""The options of one account: where its API is, how it is asked, and what is made of the answer."""

from typing import Final, Literal, Self

from pydantic import ByteSize, Field, FilePath, SecretStr, field_validator, model_validator

from exporter.settings.quantities import Duration, Group, ProxyUrl, Url

REGION_ENDPOINTS: Final = {
    "cn-north-4": "https://sms.cn-north-4.myhuaweicloud.com",
    "ap-southeast-3": "https://sms.ap-southeast-3.myhuaweicloud.com",
    "my-kualalumpur-1": "https://sms.my-kualalumpur-1.myhuaweicloud.com",
    "ru-moscow-1": "https://sms-api.ru-moscow-1.myhuaweicloud.com",
}
"""Where SMS is served. The region of the API is not the region that servers migrate to."""


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

    rate_limit: float = Field(50.0, gt=0, allow_inf_nan=False, description="Most requests a second.")
    proxy: ProxyUrl | None = Field(None, description="Outbound proxy; else HTTPS_PROXY and NO_PROXY are obeyed.")
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

    endpoint: Url | None = Field(None, description="Base URL of IAM, instead of the region's or the global one.")


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


class FilterSettings(Group):
    """Which servers are listed: the query parameters of the API, passed on as they are."""

    state: str | None = Field(None, description="Only servers in this state.")
    name: str | None = Field(None, description="Only servers of this name.")
    id: str | None = Field(None, description="Only the server of this ID.")
    ip: str | None = Field(None, description="Only servers of this address.")
    ipv6: str | None = Field(None, description="Only servers of this IPv6 address.")
    migproject: str | None = Field(None, description="Only servers of this migration project.")
    migration_cycle: str | None = Field(None, description="Only servers in this stage of a migration.")
    connected: bool | None = Field(None, description="Passed on as it is; what the API means is in doubt.")
    enterprise_project_id: str | None = Field(None, description="Only servers of this enterprise project.")
    is_consistency_result_exist: bool | None = Field(
        None,
        description="Only servers with, or without, a consistency result.",
    )
    vm_id: str | None = Field(None, description="Only servers whose clone has this ID.")

    def query(self) -> dict[str, str]:
        """Give the query parameters."""
        given = self.model_dump(exclude_none=True)
        return {name: str(value).lower() if isinstance(value, bool) else value for name, value in given.items()}


class LimitSettings(Group):
    """How much of an account is exposed."""

    series: int = Field(
        0,
        ge=0,
        description="Most series of one account, 0 for no limit; beyond it whole collectors are dropped.",
    )


class AccountSettings(Group):
    """One account at one endpoint: a target of the exporter, complete."""

    name: str = Field(min_length=1, max_length=255)
    api: ApiSettings = ApiSettings()
    iam: IamSettings = IamSettings()
    auth: AuthSettings = AuthSettings()
    poll: PollSettings = PollSettings()
    filter: FilterSettings = FilterSettings()
    limits: LimitSettings = LimitSettings()

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
