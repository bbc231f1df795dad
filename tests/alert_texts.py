"""The cases in which the texts of alerts are tested, with the expectations in tests/data/alert-texts.yml."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from promtool import Exporter, Group, Server, except_between, group, until
from rule_cases import DAY, PROBLEMS, STEP, during

Case = tuple[str, Group, int, Sequence[str]]
"""A name, a test group, a minute, and the alerts whose texts are compared then."""

NAMED = [
    (server_id, replace(server, name=f"web-{number}")) for number, (server_id, server) in enumerate(PROBLEMS.items())
]
OF_ACCOUNTS = [
    ("exporter_series_dropped", 'collector="disks"', lambda _: 12),
    ("exporter_api_clock_skew_seconds", "", lambda _: 90),
    ("exporter_config_last_reload_successful", "", lambda _: 0),
    ("exporter_state_last_write_successful", "", lambda _: 0),
    ("exporter_credentials_renewal_timestamp_seconds", "", lambda _: 60),
    ("exporter_skipped_records_total", 'reason="invalid"', lambda minute: minute),
    ("exporter_unknown_values_total", 'field="state"', lambda minute: minute),
    ("exporter_api_requests_total", 'api="sms", code="200"', lambda minute: 3 * minute),
    ("exporter_api_requests_total", 'api="sms", code="429"', lambda minute: minute),
    ("exporter_poll_failures_total", 'reason="auth"', lambda minute: minute),
    ("source_servers", 'state="replicate"', lambda _: 95),
    ("collector_up", 'collector="errors"', lambda _: 0),
    ("collector_failures_total", 'collector="errors", reason="permission"', lambda minute: minute),
    ("collector_failures_total", 'collector="errors", reason="timeout"', lambda minute: minute // 2),
]


def cases() -> Iterator[Case]:
    """Return all cases."""
    yield "servers", _group([Exporter(NAMED)]), 70, sorted(PROBLEMS)
    nameless = Exporter([("1", Server(state="error", name="", project="p"))])
    yield "a server without a name", _group([nameless], 5), 5, ["SmsServerFailed"]
    special = Exporter([("1", Server(state="error", name=r"a\\b"))])
    yield "a server with a backslash in its name", _group([special], 5), 5, ["SmsServerFailed"]
    # A text that was decoded wrongly has U+FFFD, which PromQL accepts only as an escape sequence.
    unreadable = Exporter([(r"\ufffd名", Server(state="error", name="web"))])
    yield "a server with an unreadable id", _group([unreadable], 5), 5, ["SmsServerFailed"]
    for code in ("SMS.1807", "SMS.9999"):
        error = ("source_server_error", f'error_code="{code}"', lambda _: 1.0)
        failed = Exporter([("1", Server(state="error", more=[error]))])
        yield f"a server with the error {code}", _group([failed], 5), 5, ["SmsServerFailed"]
    syncing = Server(state="syncing", task="SYNC_FAIL", more=[("task_error", 'error_code="SMS.0806"', lambda _: 1.0)])
    yield "a task with an error", _group([Exporter([("1", syncing)])], 10), 10, ["SmsTaskFailed"]
    probe = 'probe_success{job="sms-launched", account="a", server_id="1", name="web", instance="10.0.0.1:22"}'
    launched = Exporter([("1", Server(state="finished"))])
    silent = {"series": probe, "values": "0x80"}
    yield "a launched target", group("", [launched], {15: set()}, series=[silent]), 15, ["SmsTargetNotAnswering"]
    of_accounts = ["SmsSeriesDropped", "SmsClockSkew", "SmsReloadFailed", "SmsCredentialsExpiring", "SmsDataIncomplete"]
    of_accounts += ["SmsThrottled", "SmsAccountNearLimit", "SmsCollectorFailing", "SmsStateNotSaved"]
    yield "accounts and exporters", _group([Exporter(NAMED, more=OF_ACCOUNTS)]), 70, of_accounts
    failing = Exporter(NAMED, polls_succeed=until(40), more=OF_ACCOUNTS)
    yield "an outage of the API", _group([failing]), 70, ["SmsPollFailing", "SmsDataStale", "SmsServerFailed"]
    yield "an exporter that never polled", _group([Exporter(polls_succeed=lambda _: False)]), 70, ["SmsDataStale"]
    gone = Exporter(NAMED, is_running=until(40))
    yield "an exporter that is down", _group([gone]), 70, ["SmsExporterAbsent"]
    yield "no exporter", _group([]), 70, ["SmsExporterAbsent"]
    replicas = [Exporter(), Exporter(instance="y", is_running=until(40))]
    yield "one of two exporters is down", _group(replicas), 70, ["SmsReplicaDown"]
    strangers = [Exporter(), Exporter([("other", Server(state="waiting"))], instance="y")]
    yield "two exporters with one account name", _group(strangers), 70, ["SmsAccountNameShared"]
    yield "an empty list", _group([Exporter(during(NAMED, until(40)))]), 70, ["SmsListShrunk"]
    outages = [except_between(start, start + 12) for start in (30, 50)]
    flapping = Exporter(polls_succeed=lambda minute: all(succeeds(minute) for succeeds in outages))
    yield "repeated outages", _group([flapping]), 70, ["SmsDataFlapping"]
    finished = Exporter([("1", Server(state="finished", changed=-8 * DAY * 60)), ("2", Server(state="finished"))])
    yield "a finished server", group("", [finished], {80: set()}, step=STEP), 80, ["SmsSnapshotsNotCleared"]


def _group(exporters: Sequence[Exporter], last_minute: int = 70) -> Group:
    return group("", exporters, {last_minute: set()})
