"""The dashboard of the exporter itself: data age, polls, API requests, and resource usage."""

from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard

from exporter.families.family import PREFIX
from grafana.board import EXPORTER, account, alerts, board
from grafana.panels import Column, Frame, Panel, dashed, graph, in_unit, rows, stats
from grafana.promql import age_in_intervals, fleet, health, one, selector, total
from grafana.style import BAD_ABOVE_ZERO, GREEN, INTERVALS, ORANGE, RED, WARN_ABOVE_ZERO, Steps, missing, words

_AGE: Final = f"time() - {health('last_success_timestamp_seconds')}"
_INTERVAL: Final = health("poll_interval_seconds")
_EXPIRY: Final = health("exporter_credentials_expiration_timestamp_seconds")
_EXPIRES_IN: Final = f"({_EXPIRY} - time()) or {health('up')} * NaN"
_BUILD: Final = f"{PREFIX}exporter_build_info"
_LATENCY: Final = f"{PREFIX}exporter_api_request_duration_seconds"

_UP: Final = words({"1": ("complete", GREEN), "0": ("failed", RED)})
_TIME_LEFT: Final[Steps] = ((None, RED), (3600, ORANGE), (6 * 3600, GREEN))
_SECONDS_AHEAD: Final[Steps] = ((None, RED), (-300, ORANGE), (-60, GREEN), (60, ORANGE), (300, RED))


def exporter() -> Dashboard:
    """Build the dashboard."""
    return board(
        EXPORTER,
        "The exporter: data age, polls, API requests, and resource usage.",
        [account()],
        [
            ("Data freshness", _trust()),
            ("Alerts", [alerts()]),
            ("Polls", _polls()),
            ("The API", _api()),
            ("Records and series", _records()),
            ("Processes", _processes()),
        ],
    )


def _rate(metric: str, *labels: str) -> str:
    return one(f"rate({selector(metric)}[$__rate_interval])", *labels)


def _increase(metric: str, *labels: str) -> str:
    return one(f"increase({selector(metric)}[$__rate_interval])", *labels)


def _trust() -> list[Panel]:
    columns = (
        Column("account", "Account"),
        Column("endpoint", "Endpoint"),
        Column("api_region", "Region"),
        Column("Value #B", "Last poll", mappings=_UP, coloured=True),
        Column("Value #C", "Data age", "s", decimals=0),
        Column("Value #D", "Data age (intervals)", "short", INTERVALS, coloured=True, decimals=1),
        Column("Value #E", "Servers", "short"),
        Column("Value #F", "Missing servers", "short", WARN_ABOVE_ZERO, coloured=True),
        Column("Value #G", "Credentials expire in", "dtdurations", _TIME_LEFT, missing("unknown"), coloured=True),
        Column("Value #H", "Series dropped", "short", BAD_ABOVE_ZERO, coloured=True),
    )
    held, counted = fleet("snapshot_source_servers"), fleet("api_source_servers")
    return [
        rows(
            Frame(
                "Accounts",
                "Freshness and completeness of the data of each account. Missing servers is the API's count minus the "
                "servers in the list. The expiry of permanent access keys and of tokens from a file is unknown.",
                width=24,
                height=7,
            ),
            columns,
            health("account_info", "endpoint", "api_region"),
            health("up"),
            _AGE,
            age_in_intervals(),
            held,
            f"{counted} - {held}",
            _EXPIRES_IN,
            f"sum by (account) ({health('exporter_series_dropped', 'collector')})",
            key="account",
            sort_by="Account",
            descending=False,
        ),
        graph(
            Frame(
                "Data age in intervals",
                "Time since the last complete poll, in poll intervals. It normally stays between 0 and 1.",
                width=8,
                steps=INTERVALS,
            ),
            (age_in_intervals(), "{{account}}"),
        ),
        stats(
            Frame(
                "Credentials expire in",
                "Time until the token or temporary key in use expires. It is renewed before. Unknown for permanent "
                "access keys and for tokens from a file.",
                unit="dtdurations",
                width=8,
                steps=_TIME_LEFT,
                mappings=missing("unknown"),
                empty="unknown",
            ),
            (_EXPIRES_IN, "{{account}}"),
        ),
        graph(
            Frame(
                "Clock skew",
                "Clock of the exporter's machine minus the API's clock, in whole seconds. The API rejects signed "
                "requests at a skew of 15 minutes.",
                unit="s",
                width=8,
                steps=_SECONDS_AHEAD,
            ),
            (health("exporter_api_clock_skew_seconds"), "{{account}}"),
        ),
    ]


def _polls() -> list[Panel]:
    duration = graph(
        Frame(
            "Duration of the last poll",
            "Duration of the last poll, and the poll interval as its upper limit.",
            unit="s",
            width=8,
        ),
        (health("exporter_poll_duration_seconds"), "{{account}}"),
        (f"min({_INTERVAL})", "interval"),
    )
    return [
        graph(
            Frame("Polls", "Polls per minute, complete or failed.", unit="cpm", width=8),
            (f"{_rate('exporter_polls_total')} * 60", "{{account}}"),
        ),
        graph(
            Frame(
                "Failed polls by reason",
                "Failed polls by reason; docs/failures.md explains each reason.",
                width=8,
                steps=BAD_ABOVE_ZERO,
            ),
            (
                total(_increase("exporter_poll_failures_total", "reason"), "account", "reason"),
                "{{account}}: {{reason}}",
            ),
        ),
        dashed(duration, "interval", RED),
    ]


def _api() -> list[Panel]:
    quantiles = (
        (
            f"histogram_quantile({share}, sum by (le, api) (rate({_LATENCY}_bucket[$__rate_interval])))",
            f"{{{{api}}}} {name}",
        )
        for share, name in ((0.5, "median"), (0.95, "95 %"), (0.99, "99 %"))
    )
    waits = graph(
        Frame(
            "Retries and waits",
            "Retried requests and, on the right axis, the average number of requests that waited for a rate limit "
            "of the API or of the exporter.",
            width=8,
        ),
        (_increase("exporter_api_retries_total"), "{{account}}: retries"),
        (total(_rate("exporter_api_throttle_wait_seconds_total")), "waiting"),
    )
    return [
        graph(
            Frame(
                "Requests by status code",
                "Requests to the API by HTTP status code; error means no response.",
                unit="reqps",
                width=8,
            ),
            (total(_rate("exporter_api_requests_total", "api", "code"), "api", "code"), "{{api}} {{code}}"),
        ),
        graph(
            Frame(
                "Latency", "Time from sending a request to the end of its response, all accounts.", unit="s", width=8
            ),
            *quantiles,
        ),
        in_unit(waits, "waiting", "none"),
        graph(
            Frame("Pages of the last poll", "Number of pages requested in the last poll.", width=12),
            (health("exporter_poll_pages"), "{{account}}"),
        ),
        graph(
            Frame(
                "Servers in the list and the API's count",
                "Both should be equal. A lasting difference means that records are missing.",
                width=12,
            ),
            (fleet("snapshot_source_servers"), "{{account}}: in the list"),
            (fleet("api_source_servers"), "{{account}}: API count"),
        ),
    ]


def _records() -> list[Panel]:
    increase = f"increase({PREFIX}exporter_{{}}_values_total[$__rate_interval])"
    return [
        graph(
            Frame(
                "Skipped records and unknown values",
                "Records that are duplicates or have no valid ID, values outside their documented enumeration, and "
                "values of the wrong type. The log names the values outside their enumeration.",
                steps=WARN_ABOVE_ZERO,
            ),
            (total(_increase("exporter_skipped_records_total", "reason"), "reason"), "{{reason}} records"),
            (f"max by (field) ({increase.format('unknown')})", "unknown values of {{field}}"),
            (f"max by (field) ({increase.format('unreadable')})", "unreadable values of {{field}}"),
        ),
        graph(
            Frame(
                "Series dropped",
                "Series that are not exposed because the account exceeds the option limits.series.",
                steps=BAD_ABOVE_ZERO,
            ),
            (health("exporter_series_dropped", "collector"), "{{account}} {{collector}}"),
        ),
    ]


def _of_exporters(metric: str) -> str:
    """Select a process metric of the exporters, which are the targets that have a build info."""
    return f"{metric} and on (job, instance) {_BUILD}"


def _processes() -> list[Panel]:
    build = (
        Column("instance", "Instance"),
        Column("version", "Version"),
        Column("revision", "Revision"),
        Column("pythonversion", "Python"),
        Column("Value #B", "Started", "dateTimeFromNow"),
        Column(
            "Value #C", "Last reload", mappings=words({"1": ("successful", GREEN), "0": ("failed", RED)}), coloured=True
        ),
        Column("Value #D", "Last successful reload", "dateTimeFromNow"),
    )
    memory = f"max by (instance) ({_of_exporters('process_resident_memory_bytes')})"
    cpu = f"max by (instance) (rate(process_cpu_seconds_total[$__rate_interval]) and on (job, instance) {_BUILD})"
    reloaded = f"{PREFIX}exporter_config_last_reload"
    return [
        rows(
            Frame("Exporters", "All running exporters.", width=24, height=5),
            build,
            f"max by (instance, version, revision, pythonversion) ({_BUILD})",
            f"max by (instance) ({_of_exporters('process_start_time_seconds')}) * 1000",
            f"max by (instance) ({reloaded}_successful)",
            f"max by (instance) ({reloaded}_success_timestamp_seconds) * 1000",
            key="instance",
            sort_by="Instance",
            descending=False,
        ),
        graph(Frame("Memory", "Resident memory of the process.", unit="bytes", width=6), (memory, "{{instance}}")),
        graph(
            Frame("CPU", "CPU usage of the process, 100 % is one CPU.", unit="percentunit", width=6),
            (cpu, "{{instance}}"),
        ),
        graph(
            Frame("Open files", "Open file descriptors of the process, including sockets.", width=6),
            (f"max by (instance) ({_of_exporters('process_open_fds')})", "{{instance}}"),
        ),
        graph(
            Frame(
                "Samples per scrape",
                "Samples in one scrape of the exporter, or of each account if accounts are separate targets.",
                width=6,
            ),
            (
                f"max by (instance) (scrape_samples_scraped and on (job, instance) ({_BUILD} or {PREFIX}up))",
                "{{instance}}",
            ),
        ),
    ]
