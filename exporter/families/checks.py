"""The collector `checks`: the environment checks of each source server."""

from functools import lru_cache
from typing import Final

from exporter.families.family import ONE, Collector, Sample, ServerFamily
from exporter.polling.snapshot import OTHER
from exporter.sms.model import CHECK_RESULTS, FAILED_RESULTS, EnvironmentCheck, SourceServer


def get_failed_checks(server: SourceServer) -> list[EnvironmentCheck]:
    """Return the checks of a server that ended in WARN or ERROR."""
    # Nearly all are OK, which the first comparison finds.
    return [
        check for check in server.checks or () if check.result != CHECK_RESULTS[0] and check.result in FAILED_RESULTS
    ]


def _count_results(server: SourceServer) -> tuple[Sample, ...]:
    return () if server.checks is None else _count(tuple([check.result for check in server.checks]))


@lru_cache(1024)  # Many servers have the same results.
def _count(results: tuple[str | None, ...]) -> tuple[Sample, ...]:
    counts = tuple(((result,), results.count(result)) for result in CHECK_RESULTS)
    other = len(results) - sum(count for _, count in counts)
    return (*counts, ((OTHER,), other)) if other else counts


def _list_failed(server: SourceServer) -> list[Sample]:
    return [
        ((check.name or "", check.error_code or "", check.result or ""), ONE) for check in get_failed_checks(server)
    ]


CHECKS: Final = Collector(
    "checks",
    (
        ServerFamily(
            "source_server_checks",
            "Number of environment checks of the source server by result; undocumented results count as other.",
            _count_results,
            {"result": "checks[].result"},
        ),
        ServerFamily(
            "source_server_check_failed",
            "Environment check of the source server that ended in WARN or ERROR; always 1.",
            _list_failed,
            {"check": "checks[].name", "error_code": "checks[].error_code", "result": "checks[].result"},
        ),
    ),
)
