"""The exporter's own metrics, written as prometheus-client writes them."""

from collections import Counter as Multiset
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector, CollectorRegistry
from yarl import URL

from exporter import __version__
from exporter.auth.renewal import Term
from exporter.errors import REASONS, ServerFault, Throttled
from exporter.exposition.health import MAX_AGE_SECONDS, SKIPPED, Health
from exporter.exposition.text import Syntax, render_metrics
from exporter.families.family import PREFIX, unit_of
from exporter.http.transport import Request, Response
from exporter.polling.detail_client import LeftOut
from exporter.polling.snapshot import Details
from exporter.polling.state import Account, CollectorState, Persistence, Poll
from exporter.settings import DetailSettings
from exporter.sms.paging import Listing
from support import NOW, FakeClock, Scrape, account, server, snapshot


class Fixed(Collector):
    def __init__(self, collected: list[Metric]) -> None:
        self._collected = collected

    def collect(self) -> list[Metric]:
        return self._collected


def reference(collected: list[Metric], syntax: Syntax) -> bytes:
    registry = CollectorRegistry()
    registry.register(Fixed(collected))
    if syntax == "text":
        return generate_latest(registry)
    return bytes(generate_openmetrics(registry))  # type: ignore[no-untyped-call]


def build_health(accounts: Sequence[Account], clock: FakeClock) -> Health:
    health = Health(clock, "unknown")
    health.follow(accounts, lambda _: {})
    return health


def health_of(clock: FakeClock) -> tuple[Health, Account]:
    polled = Account(account())
    return build_health([polled], clock), polled


REQUEST = Request("GET", URL("http://127.0.0.1:9/v3/sources"))


@pytest.mark.parametrize("syntax", ["text", "openmetrics"])
def test_the_registry_is_rendered_as_by_prometheus_client(syntax: Syntax, clock: FakeClock) -> None:
    health, polled = health_of(clock)
    health.observer("default").request_ended("sms", REQUEST, "200", 0.07, Response(200, {"Date": "x"}, b""))
    health.poll_ended(polled, Poll(NOW, 1.0, 1, Throttled("slower")), None)
    collected = list(health.registry.collect())
    assert render_metrics(collected, syntax) == reference(collected, syntax)
    assert len(collected) > 25


@pytest.mark.parametrize("syntax", ["text", "openmetrics"])
@given(st.text(), st.lists(st.tuples(st.text(), st.floats(allow_nan=True)), max_size=4))
def test_hostile_text_is_rendered_as_by_prometheus_client(
    syntax: Syntax, text: str, samples: list[tuple[str, float]]
) -> None:
    gauge = GaugeMetricFamily("a_gauge", text, labels=("zz", "aa"))
    counter = CounterMetricFamily("a_counter", text, labels=("aa",))
    for label, number in samples:
        gauge.add_metric((label, text), number)
        counter.add_metric((label,), number)
    histogram = HistogramMetricFamily("a_histogram", text, buckets=[("0.5", 1), ("+Inf", 2)], sum_value=0.7)
    collected: list[Metric] = [gauge, counter, histogram, GaugeMetricFamily("alone", text, value=5)]
    assert render_metrics(collected, syntax) == reference(collected, syntax)


def test_the_exporters_own_metrics_have_the_unit_that_ends_their_name(clock: FakeClock) -> None:
    health, _ = health_of(clock)
    for metric in health.registry.collect():
        if metric.name.startswith(PREFIX):
            assert metric.unit == unit_of(metric.name)


def test_the_build_the_process_and_python_are_exposed(clock: FakeClock) -> None:
    health = Health(clock, "abc")
    seen = Scrape(health.render("text").decode())
    assert seen.value("exporter_build_info", version=__version__, revision="abc") == 1
    assert seen.value("exporter_config_last_reload_successful") == 1
    for name in ("process_resident_memory_bytes", "process_open_fds", "python_info"):
        assert seen.value(name)
    assert len(seen.values("python_gc_collections_total")) == 3


def test_every_counter_of_an_account_and_every_failure_reason_is_exposed_from_the_start(clock: FakeClock) -> None:
    health, _ = health_of(clock)
    seen = Scrape(health.render("text").decode())
    assert seen.label_values("exporter_poll_failures_total", "reason") == sorted(REASONS)
    assert seen.total("exporter_poll_failures_total") == 0
    assert seen.label_values("exporter_skipped_records_total", "reason") == sorted(SKIPPED)
    for name in ("polls", "api_retries", "api_throttle_wait_seconds"):
        assert seen.value(f"exporter_{name}_total", account="default") == 0
    assert seen.values("last_success_timestamp_seconds") == {}


def test_a_poll_counts_skipped_records_and_unreadable_values(clock: FakeClock) -> None:
    health, polled = health_of(clock)
    polled.state.snapshot = snapshot(server("a"))
    health.poll_ended(polled, Poll(NOW, 1.0, 1), Listing((server("a"),), 4, 1, 2, {"memory": 3}))
    seen = Scrape(health.render("text").decode())
    assert seen.value("exporter_skipped_records_total", reason="duplicate") == 1
    assert seen.value("exporter_skipped_records_total", reason="invalid") == 2
    assert seen.value("exporter_unreadable_values_total", field="memory") == 3


def test_removed_accounts_have_no_series_and_the_counters_of_the_others_continue(clock: FakeClock) -> None:
    one, two, three = (Account(account(account={"name": name})) for name in ("one", "two", "three"))
    health = build_health([one, two], clock)
    for polled in (one, two):
        health.observer(polled.name).request_ended("sms", REQUEST, "200", 0.1, None)
        health.poll_ended(polled, Poll(NOW, 1.0, 1), None)
    health.follow([two, three], lambda _: {"checks": 7})
    health.forget_others()
    seen = Scrape(health.render("text").decode())
    assert {dict(labels).get("account") for _, labels in seen.samples} == {"two", "three", None}
    assert seen.values("exporter_polls_total") == {
        frozenset({("account", "two")}): 1,
        frozenset({("account", "three")}): 0,
    }
    assert seen.value("exporter_series_dropped", account="two", collector="checks") == 7


def test_an_account_is_shown_as_soon_as_it_is_added_and_forgotten_when_it_is_removed(clock: FakeClock) -> None:
    one, two = (Account(account(account={"name": name})) for name in ("one", "two"))
    health = build_health([one], clock)

    def accounts() -> set[str]:
        seen = Scrape(health.render("text").decode())
        return {dict(labels)["account"] for _, labels in seen.samples if "account" in dict(labels)}

    assert accounts() == {"one"}
    health.follow([one, two], lambda _: {})
    assert accounts() == {"one", "two"}
    health.observer("two").clock_skew = 5.0
    health.follow([one], lambda _: {})
    assert accounts() == {"one", "two"}
    health.forget_others()
    assert accounts() == {"one"}
    assert health.observer("two").clock_skew is None


def test_an_account_without_requests_is_forgotten_when_it_is_removed(clock: FakeClock) -> None:
    one, two = (Account(account(account={"name": name})) for name in ("one", "two"))
    health = build_health([one, two], clock)
    health.follow([one], lambda _: {})
    health.forget_others()
    assert b'account="two"' not in health.render("text")


def test_an_account_that_a_failed_reload_added_has_no_series(clock: FakeClock) -> None:
    health, _ = health_of(clock)
    before = Scrape(health.render("text").decode()).samples.keys()
    health.observer("tried").request_ended("metadata", REQUEST, "error", 0.1, None)
    health.forget_others()
    after = Scrape(health.render("text").decode()).samples.keys()
    assert {key for key in after ^ before if "request_duration" not in key[0]} == set()


def test_a_failed_reload_keeps_the_timestamp_of_the_last_successful_one(clock: FakeClock) -> None:
    health, _ = health_of(clock)
    clock.advance(100)
    health.reloaded(successful=False)
    seen = Scrape(health.render("text").decode())
    assert seen.value("exporter_config_last_reload_successful") == 0
    assert seen.value("exporter_config_last_reload_success_timestamp_seconds") == NOW


def test_the_health_of_one_account_has_no_series_of_others_or_of_the_process(clock: FakeClock) -> None:
    polled = [Account(account(account={"name": name})) for name in ("one", "two")]
    health = build_health(polled, clock)
    seen = Scrape(health.render("text", "two").decode())
    assert {dict(labels)["account"] for _, labels in seen.samples} == {"two"}
    assert seen.value("up", account="two") == 0


def test_series_without_an_account_are_the_rest(clock: FakeClock) -> None:
    health = build_health([Account(account(account={"name": name})) for name in ("one", "two")], clock)
    whole, one, two, rest = (Scrape(health.render("text", part).decode()).samples for part in (None, "one", "two", ""))
    assert rest.keys() == whole.keys() - one.keys() - two.keys()
    assert rest.keys() >= {("huaweicloud_sms_exporter_config_last_reload_successful", frozenset())}


def test_one_collection_serves_all_accounts_until_a_requested_one_changes(clock: FakeClock) -> None:
    class Counted(Collector):
        count = 0

        def collect(self) -> list[Metric]:
            self.count += 1
            return []

    polled = [Account(account(account={"name": name})) for name in ("one", "two", "three")]
    health = build_health(polled, clock)
    counted = Counted()
    health.registry.register(counted)
    for part in ("one", "two", "", None, "three"):
        health.render("text", part)
    assert counted.count == 1
    health.observer("one").throttled(2.0)
    health.render("text", "two")
    assert counted.count == 1
    seen = Scrape(health.render("text", "one").decode())
    assert seen.value("exporter_api_throttle_wait_seconds_total") == 2
    assert counted.count == 2
    health.observer("two").throttled(3.0)
    assert Scrape(health.render("text").decode()).total("exporter_api_throttle_wait_seconds_total") == 5
    assert counted.count == 3
    clock.advance(MAX_AGE_SECONDS)
    for part in ("one", "two"):
        health.render("text", part)
    assert counted.count == 4


def test_counters_are_current_and_gauges_at_most_a_second_old(clock: FakeClock) -> None:
    health, _ = health_of(clock)
    first = health.render("text")
    assert health.render("text") is first
    health.observer("default").throttled(2.0)
    assert Scrape(health.render("text").decode()).value("exporter_api_throttle_wait_seconds_total") == 2
    counted = health.render("text")
    health.observer("default").clock_skew = 5.0
    assert health.render("text") is counted
    clock.advance(MAX_AGE_SECONDS)
    assert Scrape(health.render("text").decode()).value("exporter_api_clock_skew_seconds") == 5


@pytest.mark.parametrize(
    ("act", "name", "labels", "value"),
    [
        (lambda health, _: health.observer("default").throttled(2.0), "api_throttle_wait_seconds_total", {}, 2),
        (
            lambda health, _: health.observer("default").retry_waits(2.0, Throttled("slower")),
            "api_throttle_wait_seconds_total",
            {},
            2,
        ),
        (
            lambda health, _: health.observer("default").retry_waits(2.0, ServerFault("down")),
            "api_throttle_wait_seconds_total",
            {},
            0,
        ),
        (
            lambda health, _: health.observer("default").retry_waits(2.0, ServerFault("down")),
            "api_retries_total",
            {},
            1,
        ),
        (
            lambda health, _: health.observer("default").request_ended("iam", REQUEST, "error", 0.1, None),
            "api_requests_total",
            {"api": "iam", "code": "error"},
            1,
        ),
        (
            lambda health, _: health.observer("default").request_ended("iam", REQUEST, "201", 0.25, None),
            "api_request_duration_seconds_sum",
            {"api": "iam"},
            0.25,
        ),
        (
            lambda health, polled: health.poll_ended(polled, Poll(NOW, 1.0, 1), None),
            "polls_total",
            {},
            1,
        ),
        (
            lambda health, polled: health.poll_ended(polled, Poll(NOW, 1.0, 1, Throttled("slower")), None),
            "poll_failures_total",
            {"reason": "throttled"},
            1,
        ),
        (lambda health, _: health.reloaded(successful=False), "config_last_reload_successful", {}, 0),
    ],
)
def test_what_is_counted_is_exposed_immediately(
    act: Callable[[Health, Account], None], name: str, labels: dict[str, str], value: float, clock: FakeClock
) -> None:
    health, polled = health_of(clock)
    health.render("text")
    act(health, polled)
    assert Scrape(health.render("text").decode()).value(f"exporter_{name}", **labels) == value


def test_the_readings_of_a_collector_are_counted_with_its_name(clock: FakeClock) -> None:
    polled = Account(account(), details=DetailSettings(("errors",)))
    health = build_health([polled], clock)
    seen = Scrape(health.render("text").decode())
    assert seen.label_values("collector_failures_total", "reason") == sorted(REASONS)
    health.collector_read(polled, "errors", None, LeftOut(1, 2, Multiset({"error_json": 3})))
    health.collector_read(polled, "errors", ServerFault("down"), LeftOut())
    seen = Scrape(health.render("text").decode())
    failures = seen.values("collector_failures_total", collector="errors")
    assert {dict(labels)["reason"]: count for labels, count in failures.items() if count} == {"server_error": 1}
    assert seen.value("exporter_skipped_records_total", reason="duplicate") == 1
    assert seen.value("exporter_skipped_records_total", reason="invalid") == 2
    assert seen.value("exporter_unreadable_values_total", field="errors[].error_json") == 3


def test_undocumented_values_are_counted_by_field_in_each_complete_list(clock: FakeClock) -> None:
    health, polled = health_of(clock)
    unknown = {("state", "odd"): 2, ("state", "new"): 1, ("os_type", "BSD"): 4}
    for _ in range(2):
        health.poll_ended(polled, Poll(NOW, 1.0, 1), Listing((server("a"),), 1, unknown=unknown))
    health.poll_ended(polled, Poll(NOW, 1.0, 1, ServerFault("down")), None)
    seen = Scrape(health.render("text").decode())
    counts = {dict(labels)["field"]: count for labels, count in seen.values("exporter_unknown_values_total").items()}
    assert counts == {"state": 6, "os_type": 8}


def test_the_clock_skew_is_that_of_the_last_response_of_the_api_with_a_date(clock: FakeClock) -> None:
    health, _ = health_of(clock)
    observer = health.observer("default")

    def skew() -> float | None:
        clock.advance(MAX_AGE_SECONDS)
        return Scrape(health.render("text").decode()).value("exporter_api_clock_skew_seconds")

    def dated(seconds: float) -> Response:
        return Response(
            200, {"Date": format_datetime(datetime.fromtimestamp(NOW, UTC), usegmt=True)}, b"", NOW + seconds
        )

    assert skew() is None
    observer.request_ended("iam", REQUEST, "200", 0.1, dated(9))
    assert skew() is None
    observer.request_ended("sms", REQUEST, "200", 0.1, dated(5))
    assert skew() == 5
    observer.request_ended("sms", REQUEST, "200", 0.1, Response(200, {}, b""))
    observer.request_ended("sms", REQUEST, "error", 0.1, None)
    assert skew() == 5


def test_only_metrics_of_the_requested_names_are_rendered(clock: FakeClock) -> None:
    health, _ = health_of(clock)
    for name, part in (
        (f"{PREFIX}exporter_polls_total", None),
        (f"{PREFIX}exporter_polls", None),
        (f"{PREFIX}up", "default"),
    ):
        seen = Scrape(health.render("text", part, frozenset({name})).decode())
        assert {sample for sample, _ in seen.samples} == {
            name if name.endswith("up") else f"{PREFIX}exporter_polls_total"
        }
    assert health.render("text", "", frozenset({f"{PREFIX}up"})) == b""


class Expiring:
    """Credentials that expire."""

    term = Term(NOW + 100, NOW + 50)


@pytest.mark.parametrize(
    ("restored", "up", "written_at", "values"),
    [(True, None, None, (1, None, None)), (False, False, NOW - 5, (0, 0, NOW - 5)), (False, True, NOW, (0, 1, NOW))],
)
def test_what_is_known_of_the_saved_state_of_an_account_is_exposed(
    restored: bool, up: bool | None, written_at: float | None, values: tuple[float | None, ...], clock: FakeClock
) -> None:
    health, polled = health_of(clock)
    names = ("restored", "last_write_successful", "last_write_success_timestamp_seconds")
    seen = Scrape(health.render("text").decode())
    assert [seen.value(f"exporter_state_{name}") for name in names] == [None] * 3
    polled.state.persistence = Persistence(restored, up, written_at)
    clock.advance(MAX_AGE_SECONDS)
    seen = Scrape(health.render("text").decode())
    assert tuple(seen.value(f"exporter_state_{name}") for name in names) == values


def test_the_times_of_credentials_that_expire_are_exposed(clock: FakeClock) -> None:
    unlimited = Account(account())
    expiring = Account(account(account={"name": "expiring"}), credentials=Expiring())  # type: ignore[arg-type]
    seen = Scrape(build_health([unlimited, expiring], clock).render("text").decode())
    for name, value in (("expiration", NOW + 100), ("renewal", NOW + 50)):
        times = seen.values(f"exporter_credentials_{name}_timestamp_seconds")
        assert times == {frozenset({("account", "expiring")}): value}


def test_the_last_poll_and_the_served_list_of_an_account_are_exposed(clock: FakeClock) -> None:
    health, polled = health_of(clock)
    names = (
        "up",
        "last_success_timestamp_seconds",
        "snapshot_source_servers",
        "api_source_servers",
        "exporter_poll_duration_seconds",
        "exporter_poll_pages",
        "poll_interval_seconds",
    )
    seen = Scrape(health.render("text").decode())
    assert [seen.value(name) for name in names] == [0, None, None, None, None, None, 60]
    polled.state.snapshot = replace(snapshot(server("a"), server("b"), read_at=NOW - 5), count=3)
    polled.state.record(Poll(NOW - 5, 1.5, 4))
    clock.advance(MAX_AGE_SECONDS)
    seen = Scrape(health.render("text").decode())
    assert [seen.value(name) for name in names] == [1, NOW - 5, 2, 3, 1.5, 4, 60]
    clock.advance(polled.settings.poll.stale_after)
    seen = Scrape(health.render("text").decode())
    assert [seen.value(name) for name in names] == [1, NOW - 5, None, None, 1.5, 4, 60]


def test_the_condition_of_each_collector_that_reads_another_list_is_exposed(clock: FakeClock) -> None:
    polled = Account(account(), details=DetailSettings(("errors", "projects", "consistency")))
    read = Details(NOW - 7, {})
    polled.state.collectors |= {"errors": CollectorState(read), "projects": CollectorState(read, ServerFault("down"))}
    seen = Scrape(build_health([polled], clock).render("text").decode())
    up, read_at = (
        {dict(labels)["collector"]: value for labels, value in seen.values(f"collector_{name}").items()}
        for name in ("up", "last_success_timestamp_seconds")
    )
    assert up == {"errors": 1, "projects": 0, "consistency": 0}
    assert read_at == {"errors": NOW - 7, "projects": NOW - 7}


def test_the_info_of_an_account_has_its_region_and_the_address_of_its_api(clock: FakeClock) -> None:
    both = [
        Account(account(account={"name": "region"}, api={"endpoint": None, "region": "ap-southeast-3"})),
        Account(account(account={"name": "endpoint"}, api={"endpoint": "https://sms.example.com/"})),
    ]
    seen = Scrape(build_health(both, clock).render("text").decode())
    assert [dict(labels) for labels in seen.values("account_info")] == [
        {
            "account": "region",
            "api_region": "ap-southeast-3",
            "endpoint": "https://sms.ap-southeast-3.myhuaweicloud.com",
        },
        {"account": "endpoint", "api_region": "", "endpoint": "https://sms.example.com"},
    ]
    assert set(seen.values("account_info").values()) == {1}
