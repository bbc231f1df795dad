"""Builds the reference pages from the code: `python -m tools.docs.generate`.

Each page is a pure function of the declarations; a test compares the pages with them.
"""

from collections.abc import Iterable, Iterator, Mapping
from operator import attrgetter
from pathlib import Path
from typing import Final

import msgspec
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from yarl import URL

from exporter.auth.credentials import StoredProvider, token_credentials
from exporter.auth.renewal import Term
from exporter.auth.secret import Secret
from exporter.commands.check import CheckSettings
from exporter.commands.demo import DemoSettings
from exporter.commands.simulate import SimulatorSettings
from exporter.errors import REASONS
from exporter.exposition.health import Health
from exporter.exposition.text import render_lines
from exporter.families import DETAIL_COLLECTORS, FLEET, OPTIONAL_COLLECTORS, Collector, Family, full_name
from exporter.families.family import POLLED_AT, PREFIX, label_names, sample_name
from exporter.http.transport import Request, Response
from exporter.language import Translatable
from exporter.polling.consistency import Verification
from exporter.polling.projects import ProjectMembers
from exporter.polling.snapshot import Details, Snapshot, next_snapshot
from exporter.polling.state import Account, CollectorState, Persistence, Poll
from exporter.settings import DetailSettings, Settings
from exporter.settings.options import Option, options
from exporter.simulator import Fleet
from exporter.sms.consistency import ConsistencyResult, DirectoryResult
from exporter.sms.decoding import Records
from exporter.sms.details import MigrationError, MigrationProject, MigrationTask, NetworkCheck, SubTask
from exporter.sms.endpoints import SOURCE_SERVERS
from exporter.sms.paging import Listing, merge
from tools.docs import alerts, chart
from tools.docs.fields import DETAILS_LEFT_OUT, ELSEWHERE, LEFT_OUT, exposed_detail_fields, exposed_fields

FOLDER: Final = Path(__file__).parents[2] / "docs"
MOMENT: Final = 1_800_000_000.0
ACCOUNT: Final = "demo"
_ENDED: Final = 1_799_999_900_000

APPEARS: Final[Mapping[str, str]] = {
    "source_servers_failed_checks": "while a server has such a check",
    "source_server_check_failed": "while the server has such a check",
    "source_server_oem_system": "if the API reports it",
    "source_server_has_tc": "if the API reports it; Linux",
    "source_server_consistency_result": "if the API reports it",
    "task_speed_limit_bytes_per_second": "while the speed is limited",
    "task_estimated_completion_timestamp_seconds": "while the API estimates one",
    "task_remaining_seconds": "while the API estimates one",
    "task_clone_state": "while there is a clone",
    "task_clone_info": "while there is a clone",
    "task_log_upload_timestamp_seconds": "once logs were uploaded",
    "task_subtask_progress_ratio": "while the subtask has a progress",
    "task_error": "while the API reports an error",
    "task_last_sync_timestamp_seconds": "after the first synchronization",
    "migration_project_speed_limit_bytes_per_second": "while the speed is limited",
    "task_consistency_checked_timestamp_seconds": "while a verification has a result",
    "task_consistency_checked_files": "while a verification has a result",
    "task_consistency_files": "while a verification has a result",
    "task_subtask_end_timestamp_seconds": "once the subtask has ended",
    "source_server_error": "while the list of errors has the server",
    "source_servers_by_error": "while a server has an error",
    "collector_up": "for collectors that send further requests",
    "collector_last_success_timestamp_seconds": "after their first reading",
    "collector_failures_total": "for collectors that send further requests",
    "last_success_timestamp_seconds": "after the first complete poll",
    "snapshot_source_servers": "while a list is served",
    "api_source_servers": "while a list is served",
    "exporter_poll_duration_seconds": "after the first poll",
    "exporter_poll_pages": "after the first poll",
    "exporter_api_requests_total": "after the first request",
    "exporter_api_request_duration_seconds": "after the first request",
    "exporter_unknown_values_total": "after the first such value",
    "exporter_unreadable_values_total": "after the first such value",
    "exporter_credentials_expiration_timestamp_seconds": "for tokens of a password and temporary keys",
    "exporter_credentials_renewal_timestamp_seconds": "for tokens of a password and temporary keys",
    "exporter_api_clock_skew_seconds": "after the first answer",
    "exporter_state_restored": "with `--state.path`",
    "exporter_state_last_write_successful": "with `--state.path`, after the first poll",
    "exporter_state_last_write_success_timestamp_seconds": "with `--state.path`, after the first poll",
}
"""When families appear that a scrape may lack."""


class _StoppedClock:
    def time(self) -> float:
        return MOMENT

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError(seconds)


def pages() -> dict[str, str]:
    """Return the content of each page by its file name."""
    return {
        "metrics.md": _metrics(),
        "fields.md": _fields(),
        "configuration.md": _configuration(),
    }


def _metrics() -> str:
    snapshot = _snapshot()
    parts = [
        "# Metrics",
        "",
        _GENERATED,
        "",
        f"All names begin with `{PREFIX}`. Values are in base units: bytes, seconds, ratios. If the API leaves out a",
        "value, the series is absent, never 0. All series from the API have the label `account`.",
        "",
        f"`{POLLED_AT}` is the time at which the series of an account were read from the API.",
        "The HELP texts of these series end with a sentence that names this metric; the tables omit the sentence.",
        "[Staleness](staleness.md) describes how old the data can be.",
        "",
    ]
    for collector in (FLEET, *OPTIONAL_COLLECTORS, *DETAIL_COLLECTORS):
        parts += [f"## Collector `{collector.name}`", "", _switch(collector), ""]
        parts += _table(
            ("metric", "type", "labels", "help", "from"),
            (_family_row(family) for family in collector.families),
        )
        parts += ["", "For example:", "", "```text", *_examples(collector, snapshot), "```", ""]
    fresh = "Updated at every scrape, also before the first poll and while the API is down."
    parts += ["## The exporter itself", "", fresh, ""]
    parts += _table(("metric", "type", "labels", "help", "appears"), map(_health_row, _health()))
    reasons = ", ".join(f"`{reason}`" for reason in REASONS)
    parts += ["", f"`reason` of a failed poll is one of {reasons}: see [failures](failures.md).", ""]
    return "\n".join(parts)


_GENERATED: Final = "*Built from the code by `make docs`.*"


def _switch(collector: Collector) -> str:
    if collector is FLEET:
        return "Always on. Its number of series does not grow with the fleet."
    default = next(option.default for option in options(Settings) if option.key == f"collector.{collector.name}")
    words = "On; `--no-collector.{0}` turns it off." if default == "true" else "Off; `--collector.{0}` turns it on."
    return words.format(collector.name.replace("_", "-"))


def _family_row(family: Family) -> tuple[str, ...]:
    name = sample_name(family).removeprefix(PREFIX)
    appears = f" ({APPEARS[family.name]})" if family.name in APPEARS else ""
    labels = ", ".join(f"`{label}`" for label in ("account", *label_names(family)))
    fields = ", ".join(f"`{field}`" for field in dict.fromkeys(family.values or family.labels.values()))
    return f"`{name}`", family.kind, labels, f"{family.help}{appears}", fields


def _examples(collector: Collector, snapshot: Snapshot) -> Iterator[str]:
    for family in collector.families:
        rendered = render_lines(family, snapshot).decode().splitlines()
        # A value other than 0 is the better example.
        example = next((line for line in rendered if not line.endswith(" 0.0")), None) or next(iter(rendered), None)
        if example is None:
            raise LookupError(f"{full_name(family)} has no sample to show")
        yield example


def _health_row(metric: Metric) -> tuple[str, ...]:
    name = metric.name + ("_total" if metric.type == "counter" else "")
    names = dict.fromkeys(label for sample in metric.samples for label in sample.labels if label != "le")
    short = name.removeprefix(PREFIX)
    labels = ", ".join(f"`{label}`" for label in names)
    return f"`{short}`", metric.type, labels, metric.documentation, APPEARS.get(short, "always")


def _snapshot() -> Snapshot:
    """Return a snapshot in which every family has a sample."""
    fleet = Fleet(300, seed=1, clock=_StoppedClock())
    first, second = (Records(SOURCE_SERVERS).page(_page(fleet, moment)) for moment in (MOMENT, MOMENT + 60))
    account = Settings.model_validate(
        {"api": {"endpoint": "https://sms.example.com"}, "account": {"name": ACCOUNT}},
    ).targets()[0]
    before = next_snapshot(merge([first], first.count), account, MOMENT, None)
    errors = {
        server.id: MigrationError(id=server.id, error_json='{"error_code":"SMS.0515"}')
        for server in second.records
        if server.state == "error"
    }
    server = second.records[0]
    tasks = {
        server.id: MigrationTask(
            id="task",
            error_json='{"error_code":"SMS.0515"}',
            migration_ip="192.0.2.10",
            sub_tasks=(SubTask(name="SYNC_LINUX_FILE", progress=100, start_date=1_799_999_000_000, end_date=_ENDED),),
            syncing=True,
            network_check_info=NetworkCheck(
                domain_connectivity=True,
                destination_connectivity=True,
                network_delay=12.5,
                network_jitter=1.5,
                migration_speed=80.0,
                loss_percentage=0.5,
            ),
            total_cpu_usage=35.0,
            agent_cpu_usage=12.0,
            total_mem_usage=4096.0,
            agent_mem_usage=256.0,
            total_disk_io=120.0,
            agent_disk_io=80.0,
        )
    }
    files = DirectoryResult(
        num_total_files=48_211, num_different_files=2, num_target_miss_files=1, num_target_more_files=3
    )
    result = ConsistencyResult(finished_time=_ENDED, consistency_result=(files,))
    project = MigrationProject(
        id="5a8d", name="wave-1", isdefault=False, region="ap-southeast-3", speed_limit=800, type="MIGRATE_FILE"
    )
    details = {
        "errors": Details(MOMENT, errors),
        "task_details": Details(MOMENT, tasks),
        "consistency": Details(MOMENT, {server.id: Verification("task", (), result)}),
        "projects": Details(MOMENT, {project.id: ProjectMembers(project, frozenset(map(_get_id, second.records)))}),
    }
    return next_snapshot(merge([second], second.count), account, MOMENT + 60, before, details)


_get_id: Final = attrgetter("id")


def _page(fleet: Fleet, moment: float) -> bytes:
    fleet.freeze(moment)
    return msgspec.json.encode({"count": len(fleet), "source_servers": fleet.records()})


def _health() -> Iterable[Metric]:
    """Return the families of the exporter's own metrics, each with samples."""
    tree = Settings.model_validate({"api": {"region": "cn-north-4"}, "account": {"name": ACCOUNT}})
    provider = StoredProvider(Translatable("token"), Secret("auth.token", "secret").read)
    provider.term = Term(MOMENT + 3600, MOMENT + 2880)
    account = Account(tree.targets()[0], credentials=token_credentials(provider), details=DetailSettings(("errors",)))
    account.state.collectors["errors"] = CollectorState(Details(MOMENT, {}))
    poll, listed = Poll(MOMENT, 0.5, 2), _snapshot()
    account.state.record(poll)
    account.state.persistence = Persistence(up=True, written_at=MOMENT)
    account.state.snapshot = Snapshot(ACCOUNT, MOMENT, listed.servers, listed.count)
    health = Health(_StoppedClock(), "unknown")
    health.follow((account,), lambda _: {"disks": 0})
    response = Response(200, {"Date": "Fri, 15 Jan 2027 08:00:00 GMT"}, b"", MOMENT)
    health.observer(ACCOUNT).request_ended("sms", Request("GET", URL()), "200", 0.1, response)
    health.poll_ended(account, poll, Listing((), 0, unreadable={"memory": 1}, unknown={("state", "premiging"): 1}))
    text = health.render("text").decode()
    own = (metric for metric in text_string_to_metric_families(text) if metric.name.startswith(PREFIX))
    return sorted(own, key=lambda metric: metric.name.startswith(f"{PREFIX}exporter_"))


def _fields() -> str:
    parts = [
        "# Fields of the API",
        "",
        _GENERATED,
        "",
        "All fields in the API reference of `GET /v3/sources`, and the metrics that expose them. `METRIC` means that",
        "the field is the value of the metric, and `METRIC:LABEL` that it is the value of the label.",
        "",
        "## Exposed",
        "",
    ]
    exposed = (
        (f"`{path}`", ", ".join(f"`{target}`" for target in targets)) for path, targets in exposed_fields().items()
    )
    parts += _table(("field", "metrics"), exposed)
    parts += ["", "## Left out, on purpose", ""]
    parts += _table(("field", "reason"), ((f"`{path}`", reason) for path, reason in LEFT_OUT.items()))
    parts += ["", "## Other responses", "", "See [collectors](collectors.md).", ""]
    details = {
        field: ", ".join(f"`{target}`" for target in targets) for field, targets in exposed_detail_fields().items()
    }
    details |= {field: f"left out: {reason}" for field, reason in DETAILS_LEFT_OUT.items()}
    parts += _table(("field", "where it goes"), ((f"`{path}`", place) for path, place in details.items()))
    for table, rows in ELSEWHERE.items():
        parts += ["", f"## {table}", ""]
        parts += _table(("field", "where it goes"), ((f"`{path}`", place) for path, place in rows.items()))
    return "\n".join([*parts, ""])


def _configuration() -> str:
    parts = [
        "# Configuration",
        "",
        _GENERATED,
        "",
        "Every option is a flag, an environment variable and a key of the configuration file. Flags take precedence",
        "over variables, and variables over the file. Only the file can contain [`accounts`](accounts.md), the list of",
        "accounts. An option of an account takes precedence over the same flag, variable and key. The file is YAML;",
        "`--config.file` names it:",
        "",
        "```yaml",
        "api:",
        "  region: ap-southeast-3",
        "auth:",
        "  access_key_file: /run/secrets/access-key",
        "  secret_key_file: /run/secrets/secret-key",
        "poll:",
        "  interval: 2m",
        "```",
        "",
        "Durations are written as in Prometheus: `30s`, `5m`, `1h30m`. Sizes: `32MiB`. A list is comma-separated in",
        "a variable and a YAML list in the file; its flag is repeated. A switch has two flags: for example,",
        "`--collector.disks` turns it on and `--no-collector.disks` turns it off. An empty variable counts as not set.",
        "",
        "If the configuration is invalid, the exporter prints one line per error and exits with code 2. The line",
        "names the place where the value was set (the flag, the variable, or the line of the file), the value, and",
        "what is allowed. These are errors, too: an unknown option, a flag that is set twice, an option without a",
        "value, a group of options that is not a mapping, and options that contradict each other, such as a",
        "`poll.timeout` above `poll.interval`.",
        "",
        "See also: [multiple accounts](accounts.md), [credentials](credentials.md), [commands](commands.md). The",
        "commands `check`, `once`, `status` and `capture` log only errors, unless `log.level` is set.",
        "",
    ]
    parts += _options(options(Settings))
    common = {(option.key, option.default) for option in options(Settings)}
    for command, tree in (("check", CheckSettings), ("demo", DemoSettings)):
        parts += [
            f"## `sms-exporter {command}`",
            "",
            "Accepts all options above. Additional options and different defaults:",
            "",
        ]
        parts += _options(option for option in options(tree) if (option.key, option.default) not in common)
    parts += ["## `sms-exporter simulate`", ""]
    parts += _options(options(SimulatorSettings))
    return "\n".join(parts)


def _options(of: Iterable[Option]) -> list[str]:
    rows = (
        (
            f"`{option.flag}{f'={option.placeholder}' if option.placeholder else ''}`".replace("|", "\\|"),
            f"`{option.variable}`",
            f"`{option.default}`" if option.default else "",
            option.description,
        )
        for option in of
    )
    return [*_table(("flag", "variable", "default", "meaning"), rows), ""]


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    return [_row(head), _row(("---",) * len(head)), *map(_row, rows)]


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Write all pages."""
    for name, content in pages().items():
        (FOLDER / name).write_text(content, encoding="utf-8")
    chart.README.write_text(chart.page(), encoding="utf-8")
    alerts.INDEX.write_text(alerts.page(), encoding="utf-8")


if __name__ == "__main__":
    main()
