import gc
import os
import re
import weakref
from pathlib import Path

import pytest

from exporter.blocking import Worker
from exporter.commands.simulate import SimulatorSettings
from exporter.errors import ConfigurationError, HelpRequested
from exporter.settings import Settings
from exporter.settings.loading import load_settings, read_digest
from exporter.settings.manual import Manual
from exporter.settings.options import Option, options
from programs import until

SECRET = "s3cr3t-value"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith("SMS_EXPORTER_"):
            monkeypatch.delenv(name)


def load(*argv: str) -> Settings:
    return load_settings(Settings, argv, Manual("sms-exporter", "Test.", {0: "Success."}))


def fault(*argv: str) -> str:
    """Return the one error line of an invalid configuration."""
    with pytest.raises(ConfigurationError) as caught:
        load(*argv)
    (line,) = caught.value.lines
    assert SECRET not in line
    assert "\n" not in line
    return line


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "config.yml"


def test_the_defaults_are_documented() -> None:
    settings = load()
    assert settings.web.listen_address == (":10058",)
    assert settings.web.telemetry_path == "/metrics"
    assert (settings.poll.interval, settings.log.level, settings.log.format) == (60, "info", "logfmt")
    assert not settings.config.check


def test_flags_win_over_variables_and_variables_over_the_file(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config.write_text("poll: {interval: 1m, timeout: 1m, stale_policy: keep}\n")
    monkeypatch.setenv("SMS_EXPORTER_POLL_INTERVAL", "3m")
    monkeypatch.setenv("SMS_EXPORTER_POLL_TIMEOUT", "4m")
    poll = load(f"--config.file={config}", "--poll.interval=5m").poll
    assert (poll.interval, poll.timeout, poll.stale_policy) == (300, 240, "keep")


def test_a_variable_can_name_the_file(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config.write_text("api: {region: cn-north-4}\n")
    monkeypatch.setenv("SMS_EXPORTER_CONFIG_FILE", str(config))
    assert load().api.url == "https://sms.cn-north-4.myhuaweicloud.com"


def test_an_empty_file_changes_nothing(config: Path) -> None:
    config.write_text("# nothing\n")
    assert load(f"--config.file={config}").poll.interval == 60


def test_a_listen_address_can_be_repeated() -> None:
    assert load("--web.listen-address=:1", "--web.listen-address", "[::1]:2").web.listen_address == (
        ":1",
        "[::1]:2",
    )


def test_addresses_in_a_variable_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMS_EXPORTER_WEB_LISTEN_ADDRESS", ":1,:2")
    assert load().web.listen_address == (":1", ":2")


def test_a_switch_has_a_flag_for_true_and_one_for_false() -> None:
    assert not load("--no-collector.servers").collector.servers
    assert load("--collector.servers").collector.servers


def test_a_group_whose_options_are_all_comments_is_ignored(config: Path) -> None:
    config.write_text("poll:\n  # interval: 30s\nauth: {token: x}\n")
    assert load(f"--config.file={config}").poll == load("--auth.token=x").poll


def test_a_file_that_is_not_text_is_an_error(config: Path) -> None:
    config.write_bytes(b"\xff\xfe")
    assert "UTF-8" in fault(f"--config.file={config}")


def test_an_unknown_variable_is_an_error_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMS_EXPORTER_POLL_INTERVALL", SECRET)
    assert "SMS_EXPORTER_POLL_INTERVALL: no such option; did you mean SMS_EXPORTER_POLL_INTERVAL?" in fault()


@pytest.mark.parametrize("service", ["sms-exporter", "sms-exporter-web", "sms-exporter-api-region", "sms-exporter-a-b"])
def test_service_links_of_kubernetes_are_not_options(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = service.upper().replace("-", "_")
    for suffix, value in (
        ("SERVICE_HOST", "10.0.0.1"),
        ("SERVICE_PORT", "10058"),
        ("SERVICE_PORT_HTTP_METRICS", "10058"),
        ("PORT", "tcp://10.0.0.1:10058"),
        ("PORT_10058_TCP", "tcp://10.0.0.1:10058"),
        ("PORT_10058_TCP_PROTO", "tcp"),
        ("PORT_10058_TCP_PORT", "10058"),
        ("PORT_10058_TCP_ADDR", "10.0.0.1"),
    ):
        monkeypatch.setenv(f"{name}_{suffix}", value)
    assert load() == load()


def test_a_variable_that_only_looks_like_a_service_link_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMS_EXPORTER_WEB_PORT", "8080")
    assert fault() == "SMS_EXPORTER_WEB_PORT: no such option"


@pytest.mark.parametrize("option", tuple(options(Settings)), ids=lambda option: option.key)
def test_an_empty_variable_is_not_set(option: Option, monkeypatch: pytest.MonkeyPatch) -> None:
    unset = load()
    monkeypatch.setenv(option.variable, "")
    assert load() == unset


def test_the_simulator_reads_lists_and_empty_variables_like_the_exporter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMS_SIMULATOR_DENY", "sms:server:listErrors,sms:server:listTask")
    monkeypatch.setenv("SMS_SIMULATOR_FAULT", "throttled=5,times=3,hang")
    monkeypatch.setenv("SMS_SIMULATOR_SEED", "")
    simulator = load_settings(SimulatorSettings, (), Manual("sms-exporter simulate", "Test.", {}))
    assert simulator.deny == ("sms:server:listErrors", "sms:server:listTask")
    assert simulator.fault == ("throttled=5,times=3", "hang")
    assert simulator.seed == 1


def test_an_empty_unknown_variable_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMS_EXPORTER_UNKNOWN", "")
    load()


def test_values_of_a_file_are_text_as_they_are_written(config: Path) -> None:
    config.write_text("filter: {name: 007, id: 1e3, vm_id: 2024-01-02, migproject: yes}\napi: {region: cn-north-4}\n")
    (account,) = load(f"--config.file={config}").targets()
    assert account.filter.query() == {"name": "007", "id": "1e3", "vm_id": "2024-01-02", "migproject": "yes"}


def test_an_account_can_unset_an_inherited_option_with_null(config: Path) -> None:
    config.write_text(
        "api: {region: cn-north-4, proxy: 'http://proxy:3128'}\naccounts: [{name: a}, {name: b, api: {proxy: null}}]\n"
    )
    assert [account.api.proxy for account in load(f"--config.file={config}").targets()] == ["http://proxy:3128", None]


def test_a_blank_group_of_an_account_inherits_all_options(config: Path) -> None:
    config.write_text("api: {region: cn-north-4}\npoll: {interval: 5m}\naccounts: [{name: a, poll: }]\n")
    (account,) = load(f"--config.file={config}").targets()
    assert account.poll.interval == 300


def test_yaml_anchors_and_merges_are_supported(config: Path) -> None:
    config.write_text(
        "poll: &slow {interval: 10m}\napi: {region: cn-north-4}\n"
        "accounts: [{name: a, poll: {<<: *slow, timeout: 30s}}]\n"
    )
    (account,) = load(f"--config.file={config}").targets()
    assert (account.poll.interval, account.poll.timeout) == (600, 30)


def test_6_kilobytes_of_brackets_are_refused_early(config: Path) -> None:
    config.write_text("[" * 6000)
    assert fault(f"--config.file={config}") == f"{config}: is nested too deeply"


@pytest.mark.parametrize("depth", [40, 500])
def test_aliases_that_multiply_are_built_once(depth: int, config: Path) -> None:
    lines = ["a0: &a0 [x]", *(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, depth))]
    config.write_text("\n".join(lines))
    with pytest.raises(ConfigurationError):
        load(f"--config.file={config}")


def test_a_fifo_in_place_of_the_file_does_not_block(config: Path) -> None:
    os.mkfifo(config)
    line = fault(f"--config.file={config}")
    assert line == f"--config.file: {config}: cannot be read: it is a FIFO, not a regular file"


def test_the_default_timeout_of_a_poll_fits_its_interval() -> None:
    intervals = ("1s", "15s", "1m", "5m")
    assert [load(f"--poll.interval={interval}").poll.timeout for interval in intervals] == [10, 15, 60, 60]


@pytest.mark.parametrize("stale_after", ["2m", "3m"])
def test_data_becomes_stale_only_after_a_poll_could_have_failed(stale_after: str) -> None:
    assert load("--poll.interval=1m", f"--poll.stale-after={stale_after}").poll.stale_after >= 120


def test_several_errors_are_one_line_each() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load("--poll.interval=x", "--api.concurrency=y")
    assert len(caught.value.lines) == 2


def test_the_representation_of_settings_contains_no_secret() -> None:
    settings = load(f"--auth.token={SECRET}")
    assert SECRET not in repr(settings)
    assert SECRET not in settings.model_dump_json()
    assert SECRET not in repr(load("--api.region=cn-north-4", f"--auth.token={SECRET}").targets())


def test_an_account_without_an_endpoint_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match=r"api\.region or api\.endpoint is required"):
        load().targets()


@pytest.mark.parametrize(
    ("argv", "url"),
    [
        (["--api.region=ru-moscow-1"], "https://iam.ru-moscow-1.myhuaweicloud.com"),
        (["--api.endpoint=http://127.0.0.1:1"], "https://iam.myhuaweicloud.com"),
        (["--api.region=cn-north-4", "--iam.endpoint=http://127.0.0.1:2/"], "http://127.0.0.1:2"),
    ],
)
def test_the_iam_endpoint_is_that_of_the_option_else_of_the_region_else_global(argv: list[str], url: str) -> None:
    assert load(*argv).targets()[0].iam_url == url


def test_help_describes_every_option() -> None:
    with pytest.raises(HelpRequested) as request:
        load("--help")
    text = request.value.text
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


def test_accounts_inherit_the_options_that_they_do_not_set(config: Path) -> None:
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


def test_a_flag_is_valid_for_all_accounts_that_do_not_set_the_option(config: Path) -> None:
    config.write_text(ACCOUNTS)
    north, test = load(f"--config.file={config}", "--api.region=ru-moscow-1", "--poll.timeout=20s").targets()
    assert (north.api.region, north.poll.timeout) == ("ru-moscow-1", 20)
    assert (test.api.region, test.poll.timeout) == (None, 10)


def test_the_source_of_a_value_is_its_flag_its_variable_or_its_line(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text(ACCOUNTS)
    monkeypatch.setenv("SMS_EXPORTER_API_PAGING", "pages")
    settings = load(f"--config.file={config}", "--api.concurrency=5")
    assert settings.source("api", "concurrency") == "--api.concurrency"
    assert settings.source("api", "paging") == "SMS_EXPORTER_API_PAGING"
    assert settings.source("api", "region") == f"{config} line 2"
    assert settings.source("api", "proxy") == ""
    assert settings.source("accounts") == f"{config} line 5"
    assert settings.source("accounts", 0) == settings.source("accounts", 0, "name") == f"{config} line 6"
    assert settings.source("accounts", 0, "poll", "interval") == f"{config} line 3"
    assert settings.source("accounts", 0, "api", "concurrency") == "--api.concurrency"
    assert settings.source("accounts", 1, "poll", "timeout") == f"{config} line 10"
    assert settings.source("accounts", 0, "poll", "timeout") == ""
    assert load().source("accounts") == ""


def test_the_digest_of_the_file_changes_with_its_bytes_and_equal_values_are_equal_settings(config: Path) -> None:
    config.write_text("api: {region: cn-north-4}\n")
    before = load(f"--config.file={config}")
    assert before.file_digest == read_digest(config)
    config.write_text("api: {region: cn-north-4}  # the same\n")
    after = load(f"--config.file={config}")
    assert after == before
    assert after.file_digest == read_digest(config) != before.file_digest
    assert load().file_digest == read_digest(None) == ""


def test_a_wrong_item_of_a_list_has_the_source_of_the_list(config: Path) -> None:
    config.write_text("web:\n  listen_address: [':1', {}]\napi: {region: cn-north-4}\n")
    assert fault(f"--config.file={config}").startswith(f"{config} line 2: web.listen_address: ")


def test_an_error_of_an_account_names_the_line_of_the_account_or_of_what_it_inherits(config: Path) -> None:
    config.write_text("poll: {interval: x}\napi: {region: cn-north-4}\naccounts: [{name: a}]\n")
    assert fault(f"--config.file={config}").startswith(f"{config} line 1: poll.interval: ")
    config.write_text("api: {region: cn-north-4}\naccounts:\n- name: a\n- auth: {token: x}\n")
    assert fault(f"--config.file={config}") == f"{config} line 4: accounts[1].name: is required"


def test_an_unknown_info_label_is_an_error_that_lists_the_labels() -> None:
    assert "os_version" in fault("--collector.info-labels-exclude=os_versoin")


def test_the_web_configuration_has_the_flag_of_all_exporters(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load("--web.config.file=a.yml").web.config_file == Path("a.yml")
    config.write_text("web: {config_file: b.yml}\n")
    assert load(f"--config.file={config}").web.config_file == Path("b.yml")
    monkeypatch.setenv("SMS_EXPORTER_WEB_CONFIG_FILE", "c.yml")
    assert load(f"--config.file={config}").web.config_file == Path("c.yml")
    assert fault("--web.config-file=a.yml") == "--web.config-file: no such option; did you mean --web.config.file?"


@pytest.mark.parametrize(
    "proxy", ["me:open@sesame@proxy:3128", "http://me:open/sesame@proxy:3128", "ftp://me:sesame@proxy"]
)
def test_a_password_in_an_invalid_url_is_not_shown(proxy: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load("--api.region=cn-north-4", f"--api.proxy={proxy}")
    assert "--api.proxy" in str(raised.value)
    assert not [part for part in ("open", "sesame") if part in str(raised.value)]


@pytest.mark.parametrize("options", [["--poll.interval=soon"], ["--auth.token=x"]])
async def test_the_errors_of_a_failed_reload_do_not_stay_in_memory(options: list[str]) -> None:
    def read() -> None:
        load(*options).targets()

    async def fail() -> weakref.ref[ConfigurationError]:
        # In a thread, as the exporter reads it.
        with pytest.raises(ConfigurationError) as caught:
            await Worker().run(read)
        return weakref.ref(caught.value)

    failures = [await fail() for _ in range(5)]

    async def are_gone() -> bool:
        gc.collect()
        # The interpreter may still refer to the last ones.
        return [failure() for failure in failures[:3]] == [None, None, None]

    # A thread refers to its error until it ends.
    await until(are_gone)
