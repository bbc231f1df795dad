"""The collector `checks`: the environment checks of each source server."""

from typing import Final, TypeAlias

from exporter.families.family import ONE, Collector, LabelFamily, Sample
from exporter.polling.snapshot import OTHER
from exporter.sms.model import CHECK_RESULTS, FAILED_RESULTS, EnvironmentCheck

Checks: TypeAlias = tuple[EnvironmentCheck, ...]


def select_failed(checks: Checks) -> list[EnvironmentCheck]:
    """Return the checks that ended in WARN or ERROR."""
    return [check for check in checks if check.result in FAILED_RESULTS]


def _count_results(checks: Checks) -> tuple[Sample, ...]:
    results = [check.result for check in checks]
    counts = tuple(((result,), results.count(result)) for result in CHECK_RESULTS)
    other = len(results) - sum(count for _, count in counts)
    return (*counts, ((OTHER,), other)) if other else counts


def _list_failed(checks: Checks) -> list[Sample]:
    return [((check.name or "", check.error_code or "", check.result or ""), ONE) for check in select_failed(checks)]


CHECKS: Final = Collector(
    "checks",
    (
        LabelFamily(
            "source_server_checks",
            "Number of environment checks of the source server by result; undocumented results count as other.",
            _count_results,
            {"result": "checks[].result"},
            "checks",
        ),
        LabelFamily(
            "source_server_check_failed",
            "Environment check of the source server that ended in WARN or ERROR; always 1.",
            _list_failed,
            {"check": "checks[].name", "error_code": "checks[].error_code", "result": "checks[].result"},
            "checks",
        ),
    ),
)
