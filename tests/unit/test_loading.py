import os
import re
from pathlib import Path

import pytest

from exporter.errors import ConfigurationError
from exporter.settings import Settings
from exporter.settings.loading import load_settings
from exporter.settings.manual import Manual
from exporter.settings.options import options

SECRET = "s3cr3t-value"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith("SMS_EXPORTER_"):
            monkeypatch.delenv(name)


def load(*argv: str) -> Settings:
    return load_settings(Settings, argv, Manual("sms-exporter", "Test.", {0: "Well."}))


def fault(*argv: str) -> str:
    """Load what cannot be loaded, and give the one line that says so."""
    with pytest.raises(ConfigurationError) as caught:
        load(*argv)
    (line,) = caught.value.lines
    assert SECRET not in line
    assert "\n" not in line
    return line


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "config.yml"


def test_the_defaults_are_those_of_the_documentation() -> None:
    settings = load()
    assert settings.web.listen_address == (":10058",)
    assert settings.web.telemetry_path == "/metrics"
    assert (settings.poll.interval, settings.log.level, settings.log.format) == (60, "info", "logfmt")
    assert not settings.config.check


def test_flags_win_over_variables_and_variables_over_the_file(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config.write_text("poll: {interval: 1m, timeout: 2m, stale_policy: keep}\n")
    monkeypatch.setenv("SMS_EXPORTER_POLL_INTERVAL", "3m")
    monkeypatch.setenv("SMS_EXPORTER_POLL_TIMEOUT", "4m")
    poll = load(f"--config.file={config}", "--poll.interval=5m").poll
    assert (poll.interval, poll.timeout, poll.stale_policy) == (300, 240, "keep")


def test_the_file_may_be_named_by_a_variable(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config.write_text("api: {region: cn-north-4}\n")
    monkeypatch.setenv("SMS_EXPORTER_CONFIG_FILE", str(config))
    assert load().api.url == "https://sms.cn-north-4.myhuaweicloud.com"


def test_an_empty_file_changes_nothing(config: Path) -> None:
    config.write_text("# nothing\n")
    assert load(f"--config.file={config}").poll.interval == 60


def test_an_address_may_be_given_many_times() -> None:
    assert load("--web.listen-address=:1", "--web.listen-address", "[::1]:2").web.listen_address == (
        ":1",
        "[::1]:2",
    )


def test_addresses_in_a_variable_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMS_EXPORTER_WEB_LISTEN_ADDRESS", ":1,:2")
    assert load().web.listen_address == (":1", ":2")


def test_a_switch_has_a_flag_for_on_and_one_for_off() -> None:
    assert not load("--no-collector.servers").collector.servers
    assert load("--collector.servers").collector.servers


@pytest.mark.parametrize(
    ("argv", "parts"),
    [
        (["--poll.interval=60"], ["--poll.interval", "'60'", "30s, 5m or 1h30m"]),
        (["--poll.interval", "0s"], ["--poll.interval", "greater than or equal to 1"]),
        (["--poll.interval"], ["--poll.interval", "expected one argument"]),
        (["--log.level=loud"], ["--log.level", "'loud'", "'debug', 'info', 'warn' or 'error'"]),
        (["--api.region=mars"], ["--api.region", "'mars'", "cn-north-4", "ap-southeast-3", "api.endpoint"]),
        (["--api.endpoint=sms"], ["--api.endpoint", "'sms'", "https://HOST"]),
        (["--web.listen-address=x"], ["--web.listen-address", "'x'", "HOST:PORT"]),
        (["--web.telemetry-path=m"], ["--web.telemetry-path", "'m'", "^/"]),
        (["--web.telemetry-path=/a%20b"], ["--web.telemetry-path", "'/a%20b'"]),
        (["--web.telemetry-path=/-/ready"], ["--web.telemetry-path", "'/-/ready'", "already in use"]),
        (["--api.concurrency=0"], ["--api.concurrency", "'0'", "greater than or equal to 1"]),
        (["--api.max-response-size=big"], ["--api.max-response-size", "'big'"]),
        (["--auth.token-file=/nowhere"], ["--auth.token-file", "'/nowhere'"]),
        (["--poll.intervall=5m"], ["--poll.intervall: no such option", "did you mean --poll.interval?"]),
        (["--poll"], ["--poll: no such option"]),
        (["--poll.inter=5m"], ["--poll.inter: no such option"]),
        (["stray"], ["options begin with --"]),
        (["--auth.tokn", SECRET], ["--auth.tokn: no such option", "did you mean --auth.token?"]),
        ([f"--auth.tokn={SECRET}"], ["--auth.tokn: no such option"]),
        ([f"--auth.token={SECRET}", "--auth.token-file=/dev/null"], ["/dev/null"]),
        ([f"--auth.token={SECRET}", "--auth.user-name=u"], ["auth.token and auth.user-name"]),
        ([f"--auth.password={SECRET}"], ["auth.password needs auth.user-name"]),
        (["--auth.user-name=u", f"--auth.password={SECRET}"], ["auth.user-name needs auth.domain-name"]),
        (["--auth.user-name=u", "--auth.domain-name=d"], ["auth.user-name needs auth.password-file"]),
        ([f"--auth.secret-key={SECRET}"], ["auth.secret-key needs auth.access-key"]),
        ([f"--auth.access-key={SECRET}"], ["auth.access-key needs auth.secret-key-file"]),
        ([f"--api.endpoint=https://user:{SECRET}@host"], ["--api.endpoint", "without user and password"]),
        ([f"--api.proxy=ftp://user:{SECRET}@host"], ["--api.proxy", "'ftp://<secret>@host'"]),
        (["--config.file=/nowhere"], ["--config.file", "/nowhere", "No such file"]),
    ],
)  # fmt: skip
def test_a_bad_flag_is_one_line_that_names_it(argv: list[str], parts: list[str]) -> None:
    line = fault(*argv)
    for part in parts:
        assert part in line


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("poll: {intervall: 5m}", ["poll.intervall: no such option", "poll.interval"]),
        ("pol: {interval: 5m}", ["pol: no such option"]),
        ("poll: {interval: 60}", ["--poll.interval", "60", "30s"]),
        ("poll: {interval: 60.5}", ["--poll.interval", "60.5", "30s"]),
        ("poll: {interval: .inf}", ["--poll.interval", "inf", "30s"]),
        ("poll: {interval: 30s}\npoll: {timeout: 50s}", ["line 2, column 1: poll is given twice"]),
        ("accounts: [{name: a, name: b}]", ["line 1, column 22: name is given twice"]),
        ("on: 2", ["line 1, column 1: on is no text: put it in quotes"]),
        ("1: 2", ["line 1, column 1: 1 is no text: put it in quotes"]),
        ("[poll]: 2", ["line 1, column 1: this key is no text"]),
        (f"{'[' * 3000}", ["it is nested too deep"]),
        ("web: {telemetry-path: /m}", ["web.telemetry-path", "did you mean web.telemetry_path?"]),
        (f"auth: {{token: [{SECRET}]}}", ["--auth.token"]),
        (f"auth: {{tokn: {SECRET}}}", ["auth.tokn: no such option"]),
        (f"auth: {{token: {SECRET}", ["line 1"]),
        ("- a\n- b", ["must hold a mapping"]),
        ("a: b: c", ["line 1, column 5"]),
        ("poll: 5m", ["poll: this is a group of options: interval, timeout"]),
        ("accounts: [a]", ["accounts[0]: this is a group of options: name, "]),
        ("\tx: 1", ["line 1"]),
        ("poll: {interval: 2024-13-45}", ["it is not YAML"]),
        (f"auth: {{token: *{SECRET}}}", ["line 1, column 15: it is not YAML"]),
    ],
)
def test_a_bad_file_is_one_line_that_names_it(config: Path, text: str, parts: list[str]) -> None:
    config.write_text(text)
    line = fault(f"--config.file={config}")
    for part in parts:
        assert part in line


def test_a_group_of_which_all_options_are_comments_is_not_there(config: Path) -> None:
    config.write_text("poll:\n  # interval: 30s\nauth: {token: x}\n")
    assert load(f"--config.file={config}").poll == load("--auth.token=x").poll


def test_a_file_that_is_no_text_is_said_so(config: Path) -> None:
    config.write_bytes(b"\xff\xfe")
    assert "UTF-8" in fault(f"--config.file={config}")


def test_an_unknown_variable_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMS_EXPORTER_POLL_INTERVALL", SECRET)
    assert "SMS_EXPORTER_POLL_INTERVALL: no such option; did you mean SMS_EXPORTER_POLL_INTERVAL?" in fault()


def test_variables_that_kubernetes_makes_of_a_service_are_no_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMS_EXPORTER_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("SMS_EXPORTER_PORT", "tcp://10.0.0.1:10058")
    monkeypatch.setenv("SMS_EXPORTER_PORT_10058_TCP_ADDR", "10.0.0.1")
    load()


def test_several_faults_are_one_line_each() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load("--poll.interval=x", "--api.concurrency=y")
    assert len(caught.value.lines) == 2


def test_a_secret_is_in_no_repr() -> None:
    settings = load(f"--auth.token={SECRET}")
    assert SECRET not in repr(settings)
    assert SECRET not in settings.model_dump_json()
    assert SECRET not in repr(load("--api.region=cn-north-4", f"--auth.token={SECRET}").targets())


def test_an_account_without_an_address_is_refused() -> None:
    with pytest.raises(ValueError, match=r"api\.region or api.endpoint is needed"):
        load().targets()


@pytest.mark.parametrize(
    ("argv", "url"),
    [
        (["--api.region=ru-moscow-1"], "https://iam.ru-moscow-1.myhuaweicloud.com"),
        (["--api.endpoint=http://127.0.0.1:1"], "https://iam.myhuaweicloud.com"),
        (["--api.region=cn-north-4", "--iam.endpoint=http://127.0.0.1:2/"], "http://127.0.0.1:2"),
    ],
)
def test_iam_is_the_options_else_the_regions_else_the_global_one(argv: list[str], url: str) -> None:
    assert load(*argv).targets()[0].iam_url == url


def test_help_tells_what_every_option_takes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        load("--help")
    assert ended.value.code == 0
    text = capsys.readouterr().out
    for option in options(Settings):
        assert re.search(rf"--(\[no-\])?{re.escape(option.flag[2:])}\b", text), option.flag
        assert option.description
    assert "--poll.interval=DURATION" in text
    assert "(default: 1m)" in text
    assert "--poll.stale-after=DURATION" in text


def test_every_option_can_be_set_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMS_EXPORTER_API_MAX_RESPONSE_SIZE", "1MiB")
    monkeypatch.setenv("SMS_EXPORTER_COLLECTOR_SERVERS", "false")
    monkeypatch.setenv("SMS_EXPORTER_AUTH_TOKEN", SECRET)
    settings = load()
    assert settings.api.max_response_size == 2**20
    assert not settings.collector.servers
    assert settings.auth.token is not None
    assert settings.auth.token.get_secret_value() == SECRET


ACCOUNTS = """
api: {region: cn-north-4, concurrency: 3}
poll: {interval: 2m}
auth: {token: top-token}
accounts:
  - name: north
  - name: test
    api: {endpoint: "http://127.0.0.1:1"}
    auth: {token: own-token}
    poll: {timeout: 10s}
    filter: {state: error, connected: false}
    limits: {series: 1000}
"""


def test_accounts_of_the_list_take_over_what_they_do_not_set_themselves(config: Path) -> None:
    config.write_text(ACCOUNTS)
    north, test = load(f"--config.file={config}").targets()
    assert (north.name, north.api.url, north.poll.interval) == (
        "north",
        "https://sms.cn-north-4.myhuaweicloud.com",
        120,
    )
    assert (test.api.url, test.api.concurrency, test.poll.interval, test.poll.timeout) == (
        "http://127.0.0.1:1",
        3,
        120,
        10,
    )
    assert (test.api.region, test.limits.series) == (None, 1000)
    assert test.filter.query() == {"state": "error", "connected": "false"}
    assert [account.auth.token and account.auth.token.get_secret_value() for account in (north, test)] == [
        "top-token",
        "own-token",
    ]


def test_a_flag_holds_for_all_accounts_that_do_not_say_otherwise(config: Path) -> None:
    config.write_text(ACCOUNTS)
    north, test = load(f"--config.file={config}", "--api.region=ru-moscow-1", "--poll.timeout=20s").targets()
    assert (north.api.region, north.poll.timeout) == ("ru-moscow-1", 20)
    assert (test.api.region, test.poll.timeout) == (None, 10)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("api: {region: cn-north-4}\naccounts: [{name: a}, {name: a}]", ["must be unique", "twice: a"]),
        ("accounts: [{name: a}]", ["accounts[0]", "api.region or api.endpoint"]),
        ("accounts: [{api: {region: cn-north-4}}]", ["accounts[0].name", "required"]),
        ("accounts: [{name: a, api: {region: mars}}]", ["accounts[0].api.region", "'mars'", "cn-north-4"]),
        ("accounts: [{name: a, pol: {}, api: {region: cn-north-4}}]", ["accounts[0].pol: no such option"]),
        (
            f"accounts: [{{name: a, api: {{region: cn-north-4}}, auth: {{token: [{SECRET}]}}}}]",
            ["accounts[0].auth.token"],
        ),
        ("accounts: {name: a}", ["accounts"]),
        ("accounts: [a]", ["accounts[0]"]),
    ],
)
def test_a_bad_account_is_one_line_that_names_it(config: Path, text: str, parts: list[str]) -> None:
    config.write_text(text)
    line = fault(f"--config.file={config}")
    for part in parts:
        assert part in line


def test_an_unknown_info_label_is_refused_with_those_there_are() -> None:
    assert "os_version" in fault("--collector.info-labels-exclude=os_versoin")


def test_the_web_configuration_has_the_flag_that_all_exporters_have(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load("--web.config.file=a.yml").web.config_file == Path("a.yml")
    config.write_text("web: {config_file: b.yml}\n")
    assert load(f"--config.file={config}").web.config_file == Path("b.yml")
    monkeypatch.setenv("SMS_EXPORTER_WEB_CONFIG_FILE", "c.yml")
    assert load(f"--config.file={config}").web.config_file == Path("c.yml")
    assert fault("--web.config-file=a.yml") == "--web.config-file: no such option; did you mean --web.config.file?"


@pytest.mark.parametrize("address", ["unix:", "unix:relative", "unix:/" + "x" * 107])
def test_a_unix_socket_needs_a_path_that_a_system_can_bind(address: str) -> None:
    assert "write a Unix socket as unix:/PATH" in fault(f"--web.listen-address={address}")


@pytest.mark.parametrize(
    "proxy", ["me:open@sesame@proxy:3128", "http://me:open/sesame@proxy:3128", "ftp://me:sesame@proxy"]
)
def test_a_password_in_an_unusable_url_is_not_shown(proxy: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load("--api.region=cn-north-4", f"--api.proxy={proxy}")
    assert "--api.proxy" in str(raised.value)
    assert not [part for part in ("open", "sesame") if part in str(raised.value)]
