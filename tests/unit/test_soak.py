"""What the soak concludes from its measurements."""

import os

import pytest

from benchmarks.soak.estate import FAILURES, Observed, find_problems
from benchmarks.soak.plot import Panel, render_plot
from benchmarks.soak.resources import Growth, get_growth, read_sample
from benchmarks.soak.scrapers import CounterCheck, read_counters

EXPOSITION = """\
# HELP polls_total Polls.
# TYPE polls_total counter
polls_total{account="a"} 3
polls_total{account="b"} 5
# TYPE seconds histogram
seconds_bucket{le="1"} 2
seconds_count 2
seconds_sum 0.5
# TYPE size gauge
size{account="a"} 7
"""


def test_the_counters_of_an_exposition_are_those_of_counters_and_histograms() -> None:
    assert read_counters(EXPOSITION) == {
        ("polls_total", '{account="a"}'): 3,
        ("polls_total", '{account="b"}'): 5,
        ("seconds_bucket", '{le="1"}'): 2,
        ("seconds_count", ""): 2,
        ("seconds_sum", ""): 0.5,
    }


def test_a_counter_that_decreases_is_noticed_and_a_gauge_is_not() -> None:
    check = CounterCheck(frozenset())
    check.check(EXPOSITION)
    check.check(EXPOSITION.replace('"a"} 3', '"a"} 4').replace('"a"} 7', '"a"} 6'))
    assert check.decreased == []
    check.check(EXPOSITION)
    assert check.decreased == ['polls_total{account="a"}: 4.0 to 3.0']


@pytest.mark.parametrize(("temporary", "decreases"), [({"a"}, 0), ({"b"}, 1)])
def test_only_the_counters_of_a_temporary_account_may_start_again_after_it_was_absent(
    temporary: set[str], decreases: int
) -> None:
    check = CounterCheck(frozenset(temporary))
    check.check(EXPOSITION)
    check.check(EXPOSITION.replace('polls_total{account="a"} 3\n', ""))
    check.check(EXPOSITION.replace('"a"} 3', '"a"} 1'))
    assert len(check.decreased) == decreases


def test_the_growth_is_from_the_median_of_the_first_half_to_that_of_the_second() -> None:
    (growth,) = get_growth([{"memory": value} for value in (100, 900, 100, 104, 1, 106)])
    assert (growth.first, growth.second) == (100, 104)


@pytest.mark.parametrize(
    ("growth", "is_flat"),
    [
        (Growth("memory", 100, 105), True),
        (Growth("memory", 100, 106), False),
        (Growth("objects", 100, 106), False),
        (Growth("descriptors", 20, 23), True),
        (Growth("descriptors", 20, 24), False),
        (Growth("descriptors", 200, 50), True),
    ],
)
def test_a_resource_is_flat_if_it_grows_by_no_more_than_five_percent(growth: Growth, is_flat: bool) -> None:
    assert growth.is_flat() is is_flat


def test_memory_may_grow_by_half_in_a_run_that_ends_in_the_warm_up() -> None:
    assert Growth("memory", 100, 150).is_flat(warming_up=True)
    assert not Growth("memory", 100, 151).is_flat(warming_up=True)
    assert Growth("descriptors", 20, 27).is_flat(warming_up=True)
    assert not Growth("descriptors", 20, 28).is_flat(warming_up=True)


def test_the_resources_of_a_process_are_those_that_the_kernel_counts() -> None:
    before = read_sample(os.getpid(), 0)
    reading, writing = os.pipe()
    after = read_sample(os.getpid(), 1)
    os.close(reading)
    os.close(writing)
    assert after.descriptors == before.descriptors + 2
    assert after.sockets == before.sockets
    assert before.threads >= 1
    assert before.memory > 1_000_000


def test_the_plot_shows_every_peak() -> None:
    line = [(minute / 10, 5.0) for minute in range(2_000)]
    line[777] = (77.7, 50.0)
    plot = render_plot([Panel("Sockets", line, [(100.0, 5.0)])], "a < b")
    assert "a &lt; b" in plot
    assert plot.count("<circle") == 1
    peak = min(float(point.split(",")[1]) for point in plot.partition('points="')[2].partition('"')[0].split())
    assert peak < 45


def exposition(seconds: float, failures: int) -> str:
    return (
        f'huaweicloud_sms_last_success_timestamp_seconds{{account="account-1"}} {seconds}\n'
        f'huaweicloud_sms_exporter_poll_failures_total{{account="account-1",reason="timeout"}} {failures}\n'
        f'huaweicloud_sms_exporter_poll_failures_total{{account="account-1",reason="auth"}} 1\n'
    )


def test_the_intervals_of_an_estate_are_between_complete_lists_after_the_accounts_are_spread() -> None:
    observed = Observed()
    for seconds in (0, 10, 10, 70, 130, 200):
        observed.look(exposition(seconds, 2))
    assert observed.get_intervals(["account-1"]) == [60, 70]
    assert observed.totals[FAILURES]["account-1"] == 3


@pytest.mark.parametrize(("last", "failures", "problems"), [(190, 0, 0), (250, 0, 1), (190, 3, 1)])
def test_a_healthy_account_that_is_polled_late_or_fails_is_a_problem(last: int, failures: int, problems: int) -> None:
    observed = Observed()
    for seconds in (0, 10, 70, 130, last):
        observed.look(exposition(seconds, failures).replace('reason="auth"} 1', 'reason="auth"} 0'))
    assert len(find_problems(observed, accounts=2)) == problems
