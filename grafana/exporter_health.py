"""The board of the exporter itself: whether its numbers can be trusted, and what they cost."""

from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard

from exporter.families.family import PREFIX
from grafana.board import EXPORTER, account, board
from grafana.panels import Column, Frame, Panel, dashed, graph, in_unit, rows, stats
from grafana.promql import age_in_intervals, fleet, health, one, selector, total
from grafana.style import BAD_ABOVE_ZERO, GREEN, INTERVALS, ORANGE, RED, WARN_ABOVE_ZERO, Steps, unknown, words

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
    """Build the board."""
    return board(
        EXPORTER,
        "The exporter: whether its polls succeed, how old its numbers are, and what it costs.",
        [account()],
        [
            ("Can the numbers be trusted?", _trust()),
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
        Column("Value #C", "Age of data", "s", decimals=0),
        Column("Value #D", "Age in intervals", "short", INTERVALS, coloured=True, decimals=1),
        Column("Value #E", "Servers held", "short"),
        Column("Value #F", "Missing of the API's count", "short", WARN_ABOVE_ZERO, coloured=True),
        Column("Value #G", "Credentials expire in", "dtdurations", _TIME_LEFT, unknown("not told"), coloured=True),
        Column("Value #H", "Series dropped", "short", BAD_ABOVE_ZERO, coloured=True),
    )
    held, counted = fleet("snapshot_source_servers"), fleet("api_source_servers")
    return [
        rows(
            Frame(
                "Accounts",
                "What each account's numbers are worth now. Credentials whose end the exporter cannot know, such as a "
                "permanent access key or a token from outside, are told as such.",
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
                "Age of data in intervals",
                "The time since the last complete poll, in poll intervals: a saw tooth up to 1 where all is well.",
                width=8,
                steps=INTERVALS,
            ),
            (age_in_intervals(), "{{account}}"),
        ),
        stats(
            Frame(
                "Credentials expire in",
                "Time until the token or temporary key in use ends; it is renewed before. Not told for a permanent "
                "access key, and for a token whose end the exporter cannot know.",
                unit="dtdurations",
                width=8,
                steps=_TIME_LEFT,
                mappings=unknown("not told"),
                empty="not told",
            ),
            (_EXPIRES_IN, "{{account}}"),
        ),
        graph(
            Frame(
                "Clock skew",
                "This machine's clock minus the API's. Signed requests are refused when it is 15 minutes; the API "
                "tells whole seconds.",
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
            "Time that the last poll took, and the interval that it must stay well below.",
            unit="s",
            width=8,
        ),
        (health("exporter_poll_duration_seconds"), "{{account}}"),
        (f"min({_INTERVAL})", "interval"),
    )
    return [
        graph(
            Frame("Polls", "Polls that ended, complete or failed, as seen by a rate.", unit="cpm", width=8),
            (f"{_rate('exporter_polls_total')} * 60", "{{account}}"),
        ),
        graph(
            Frame(
                "Failed polls by reason",
                "Polls that failed; the runbooks tell what to do about each reason.",
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
            "Requests tried again, and to the right the share of time that requests waited because of a rate limit, "
            "the API's or the exporter's own.",
            width=8,
        ),
        (_increase("exporter_api_retries_total"), "{{account}}: retries"),
        (total(_rate("exporter_api_throttle_wait_seconds_total")), "waiting"),
    )
    return [
        graph(
            Frame(
                "Requests by answer",
                "Requests to the API by HTTP status; error stands for no answer.",
                unit="reqps",
                width=8,
            ),
            (total(_rate("exporter_api_requests_total", "api", "code"), "api", "code"), "{{api}} {{code}}"),
        ),
        graph(
            Frame("Latency", "From sending a request to its last byte, of all accounts.", unit="s", width=8),
            *quantiles,
        ),
        in_unit(waits, "waiting", "percentunit"),
        graph(
            Frame("Pages of the last poll", "Requests that one list takes.", width=12),
            (health("exporter_poll_pages"), "{{account}}"),
        ),
        graph(
            Frame(
                "Servers in the list and by the API's count",
                "They should agree; where they do not for long, records are left out.",
                width=12,
            ),
            (fleet("snapshot_source_servers"), "{{account}}: held"),
            (fleet("api_source_servers"), "{{account}}: counted by the API"),
        ),
    ]


def _records() -> list[Panel]:
    increase = f"increase({PREFIX}exporter_{{}}_values_total[$__rate_interval])"
    return [
        graph(
            Frame(
                "Records left out and values not understood",
                "Records that stand twice or have no readable id, values outside their documented enumeration, and "
                "values of a wrong type; the log names them. The last two have series only once there was one.",
                steps=WARN_ABOVE_ZERO,
            ),
            (total(_increase("exporter_skipped_records_total", "reason"), "reason"), "{{reason}} records"),
            (f"max by (field) ({increase.format('unknown')})", "unknown values of {{field}}"),
            (f"max by (field) ({increase.format('unreadable')})", "unreadable values of {{field}}"),
        ),
        graph(
            Frame(
                "Series dropped",
                "Series not exposed because the account has more than the option limits.series allows.",
                steps=BAD_ABOVE_ZERO,
            ),
            (health("exporter_series_dropped", "collector"), "{{account}} {{collector}}"),
        ),
    ]


def _of_exporters(metric: str) -> str:
    """Select a metric of the processes that are exporters, by the build that only they tell."""
    return f"{metric} and on (job, instance) {_BUILD}"


def _processes() -> list[Panel]:
    build = (
        Column("instance", "Instance"),
        Column("version", "Version"),
        Column("revision", "Revision"),
        Column("pythonversion", "Python"),
        Column("Value #B", "Started", "dateTimeFromNow"),
        Column(
            "Value #C", "Configuration read", mappings=words({"1": ("well", GREEN), "0": ("badly", RED)}), coloured=True
        ),
        Column("Value #D", "Last read well", "dateTimeFromNow"),
    )
    memory = f"max by (instance) ({_of_exporters('process_resident_memory_bytes')})"
    cpu = f"max by (instance) (rate(process_cpu_seconds_total[$__rate_interval]) and on (job, instance) {_BUILD})"
    reloaded = f"{PREFIX}exporter_config_last_reload"
    return [
        rows(
            Frame("Exporters", "Each running exporter, of all accounts.", width=24, height=5),
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
        graph(Frame("CPU", "CPUs that the process used.", unit="percentunit", width=6), (cpu, "{{instance}}")),
        graph(
            Frame("Open files", "File descriptors that the process has open, sockets among them.", width=6),
            (f"max by (instance) ({_of_exporters('process_open_fds')})", "{{instance}}"),
        ),
        graph(
            Frame(
                "Samples a scrape",
                "Samples that Prometheus reads in one scrape of the exporter, or of each account where these are "
                "targets of their own.",
                width=6,
            ),
            (
                f"max by (instance) (scrape_samples_scraped and on (job, instance) ({_BUILD} or {PREFIX}up))",
                "{{instance}}",
            ),
        ),
    ]
