"""Builds test groups of promtool from exporters, accounts and servers over time. Times are minutes."""

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

DEADLINE: Final = "has-deadline"
"""The enterprise project of account `a` whose migration deadline has already passed."""

PREFIX: Final = "huaweicloud_sms_"

When = Callable[[int], bool]
Value = Callable[[int], float | None]
"""The value of a series in a minute; None for no sample."""
Group = dict[str, Any]


def always(_: int) -> bool:
    """Return that something holds in every minute."""
    return True


def except_between(start: int, end: int) -> When:
    """Return a function that is false from minute `start` to before minute `end`."""
    return lambda minute: not start <= minute < end


def until(end: int) -> When:
    """Return a function that is true before minute `end`."""
    return lambda minute: minute < end


def since(start: int) -> When:
    """Return a function that is true from minute `start`."""
    return lambda minute: minute >= start


@dataclass(frozen=True)
class Server:
    """A source server in the API's list, while `listed`."""

    state: str = "replicate"
    name: str = "web"
    project: str = ""
    facts: str = ""
    """Further labels of its information, such as `, os_type="LINUX"`."""
    connected: float | None = 1
    size: float = 500
    replicated: Value = lambda _: 5
    increased: Value = lambda minute: minute * 60
    """When the exporter last saw the replicated bytes increase, in seconds."""
    changed: float | None = -7200
    """When the API says that the state changed, in seconds."""
    remaining: float | None = None
    task: str = "RUNNING"
    clone: str = "NOT_READY"
    check: str = "OK"
    listed: When = always
    more: Sequence[tuple[str, str, Value]] = ()
    """Metric, labels and value of further series."""

    def series(self, server_id: str) -> Iterator[tuple[str, str, Value]]:
        """Return the metric, labels and value of each series."""
        own = f'server_id="{server_id}"'
        facts = f'name="{self.name}", enterprise_project_id="{self.project}"{self.facts}'
        yield "source_server_info", f"{own}, {facts}", lambda _: 1
        yield "source_server_state", f'{own}, state="{self.state}"', lambda _: 1
        yield "source_server_connected", own, lambda _: self.connected
        yield "source_server_size_bytes", own, lambda _: self.size
        yield "source_server_replicated_bytes", own, self.replicated
        yield "source_server_replicated_bytes_last_increase_timestamp_seconds", own, self.increased
        yield "source_server_state_changed_timestamp_seconds", own, lambda _: self.changed
        yield "task_remaining_seconds", own, lambda _: self.remaining
        yield "task_state", f'{own}, state="{self.task}"', lambda _: 1
        yield "task_clone_state", f'{own}, clone_state="{self.clone}"', lambda _: 1
        if self.check != "OK":
            labels = f'{own}, check="RSYNC", error_code="SMS.6517", result="{self.check}"'
            yield "source_server_check_failed", labels, lambda _: 1
        for metric, labels, value in self.more:
            yield metric, ", ".join(filter(None, (own, labels))), value


@dataclass(frozen=True)
class Exporter:
    """An exporter that polls one account. A server ID can occur several times, at different times."""

    servers: Sequence[tuple[str, Server]] = ()
    account: str = "a"
    job: str = "sms"
    instance: str = "x"
    labels: str = ""
    """Further target labels, such as `, service="sms"`."""
    is_target: When = always
    """Whether Prometheus has the target."""
    is_running: When = always
    """Whether it can be scraped."""
    is_configured: When = always
    """Whether the account is in its configuration."""
    polls_succeed: When = always
    started: float = 0
    clock_ahead: int = 0
    """By how many minutes its clock is ahead."""
    poll_interval: float | None = None
    """Its poll interval in minutes; by default the time between samples."""
    served_polls: int = 5
    """For how many poll intervals it serves the last list."""
    missing: Callable[[int], float] = lambda _: 0
    """How many more servers the API counts than its list has."""
    more: Sequence[tuple[str, str, Value]] = ()
    """Metric, labels and value of further series of the account."""

    def series(self, step: int, samples: int) -> Iterator[dict[str, str]]:
        """Return series in promtool's notation, with a sample and a poll every `step` minutes."""
        minutes = range(0, step * samples, step)
        target = f'job="{self.job}", instance="{self.instance}"{self.labels}'
        account = f'account="{self.account}", {target}'
        success = self._last_success(minutes)

        def is_scraped(minute: int) -> bool:
            return self.is_target(minute) and self.is_running(minute)

        def has_account(minute: int) -> bool:
            return is_scraped(minute) and self.is_configured(minute)

        def has_list(minute: int) -> bool:
            read = success[minute]
            return has_account(minute) and read is not None and minute - read <= self.served_polls * step

        def seconds_of_success(minute: int) -> float | None:
            read = success[minute]
            return None if read is None else (read + self.clock_ahead) * 60

        def listed(minute: int) -> int:
            return sum(server.listed(success[minute] or 0) for _, server in self.servers)

        recorded = _Samples(minutes)
        recorded.add("up", target, self.is_running, self.is_target)
        recorded.add("process_start_time_seconds", target, lambda _: self.started, is_scraped)
        recorded.add("python_info", target, lambda _: 1, is_scraped)
        recorded.add(f"{PREFIX}exporter_build_info", target, lambda _: 1, is_scraped)
        recorded.add(f"{PREFIX}up", account, self.polls_succeed, has_account)
        recorded.add(
            f"{PREFIX}poll_interval_seconds", account, lambda _: (self.poll_interval or step) * 60, has_account
        )
        recorded.add(f"{PREFIX}last_success_timestamp_seconds", account, seconds_of_success, has_account)
        recorded.add(f"{PREFIX}snapshot_source_servers", account, listed, has_list)
        recorded.add(
            f"{PREFIX}api_source_servers", account, lambda minute: listed(minute) + self.missing(minute), has_list
        )
        for metric, labels, value in self.more:
            recorded.add(f"{PREFIX}{metric}", ", ".join(filter(None, (account, labels))), value, has_account)
        for server_id, server in self.servers:

            def is_listed(minute: int, server: Server = server) -> bool:
                return has_list(minute) and server.listed(success[minute] or 0)

            for metric, labels, value in server.series(server_id):
                recorded.add(f"{PREFIX}{metric}", f"{account}, {labels}", value, is_listed)
        yield from recorded.series()

    def _last_success(self, minutes: Sequence[int]) -> Mapping[int, int | None]:
        """Return the minute of the last successful poll, as known in each minute; a restart forgets it."""
        success: int | None = None
        found: dict[int, int | None] = {}
        for minute in minutes:
            if not (self.is_running(minute) and self.is_configured(minute)):
                success = None
            elif self.polls_succeed(minute):
                success = minute
            found[minute] = success
        return found


def outdated(exporter: Exporter) -> list[Exporter]:
    """Return two exporters that serve an old list of the exporter: another instance, and another job."""
    old = replace(exporter, polls_succeed=until(3), served_polls=1000)
    return [replace(old, instance="y"), replace(old, job="other")]


class _Samples:
    """The samples of series in the given minutes."""

    def __init__(self, minutes: Sequence[int]) -> None:
        self._minutes = minutes
        self._values: dict[str, list[float | None]] = {}

    def add(self, metric: str, labels: str, value: Value, condition: When) -> None:
        """Add the samples of the minutes in which `condition` holds."""
        values = self._values.setdefault(f"{metric}{{{labels}}}", [None] * len(self._minutes))
        for place, minute in enumerate(self._minutes):
            if condition(minute) and (sample := value(minute)) is not None:
                values[place] = sample

    def series(self) -> Iterator[dict[str, str]]:
        """Return all series in promtool's notation."""
        for name, values in self._values.items():
            yield {"series": name, "values": notation(values)}


def notation(values: Sequence[float | None]) -> str:
    """Return values in promtool's notation. A series that ends is marked stale, as by the next scrape."""
    words: list[str] = []
    for value, group in itertools.groupby(values):
        length = len(list(group))
        if value is not None:
            words.append(f"{value:.10g}x{length - 1}")
            continue
        if words:
            words.append("stale")
            length -= 1
        words += ["_"] * min(length, 1) + [f"_x{length - 1}"] * (length > 1)
    return " ".join(words)


def group(
    name: str,
    exporters: Sequence[Exporter],
    expected: Mapping[int, set[str]],
    *,
    among: str = "Sms.+",
    step: int = 1,
    series: Sequence[Mapping[str, str]] = (),
) -> Group:
    """Return a test group that expects exactly these alerts to fire in these minutes.

    An alert is `NAME`, `NAME/SERVER_ID`, `NAME@ACCOUNT`, or `NAME@` without an account. The default account is `a`.
    Only alerts whose names match the regular expression `among` count.
    """
    samples = max(expected) // step + 1
    deadline = f'sms:migration_deadline_timestamp_seconds{{account="a", enterprise_project_id="{DEADLINE}"}}'
    inputs: list[Mapping[str, str]] = [{"series": deadline, "values": f"-60x{samples}"}, *series]
    for exporter in exporters:
        inputs += exporter.series(step, samples)
    matchers = f'alertstate="firing", alertname=~"{among}", account=~".*"'
    tests = []
    for minute, alerts in expected.items():
        firing = [_sample(alert) for alert in sorted(alerts)]
        query = f"group by (alertname, account, server_id) (ALERTS{{{matchers}}})"
        tests.append({"expr": query, "eval_time": f"{minute}m", "exp_samples": firing})
    once = list({each["series"]: each for each in inputs}.values())
    return {"name": name, "interval": f"{step}m", "input_series": once, "promql_expr_test": tests}


def combined(name: str, parts: Mapping[str, Group]) -> Group:
    """Return one test group of several, which is much faster.

    Each part has its own accounts and jobs, named after its key. Alerts without an account do not count.
    """
    inputs: dict[str, Any] = {}
    tests: list[dict[str, Any]] = []
    for key, part in parts.items():
        renamed = {'account="a"': f'account="{key}"', 'account="b"': f'account="{key}-b"', 'job="sms"': f'job="{key}"'}
        text = json.dumps(part)
        for old, new in {**renamed, 'account=~".*"': f'account=~"{key}(-b)?"'}.items():
            text = text.replace(json.dumps(old)[1:-1], json.dumps(new)[1:-1])
        own = json.loads(text)
        inputs |= {each["series"]: each for each in own["input_series"]}
        tests += own["promql_expr_test"]
    intervals = {part["interval"] for part in parts.values()}
    return {"name": name, "interval": intervals.pop(), "input_series": list(inputs.values()), "promql_expr_test": tests}


def _sample(alert: str) -> dict[str, Any]:
    alert, _, account = alert.partition("@") if "@" in alert else (alert, "", "a")
    name, _, server_id = alert.partition("/")
    labels = {"alertname": name, "account": account, "server_id": server_id}
    given = ", ".join(f'{label}="{value}"' for label, value in labels.items() if value)
    return {"labels": f"{{{given}}}", "value": 1}
