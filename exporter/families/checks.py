"""The collector `checks`: the environment checks of each source server."""

from functools import lru_cache
from typing import Final

from exporter.families.family import ONE, Collector, Sample, ServerFamily
from exporter.polling.snapshot import OTHER
from exporter.sms.model import CHECK_RESULTS, FAILED_RESULTS, EnvironmentCheck, SourceServer


def failed_checks(server: SourceServer) -> list[EnvironmentCheck]:
    """Give the checks of a server that ended in WARN or ERROR."""
    # Nearly all are OK, which is told by one comparison.
    return [
        check for check in server.checks or () if check.result != CHECK_RESULTS[0] and check.result in FAILED_RESULTS
    ]


def _counts(server: SourceServer) -> tuple[Sample, ...]:
    return () if server.checks is None else _counted(tuple([check.result for check in server.checks]))


@lru_cache(1024)  # servers of one kind end their checks alike
def _counted(results: tuple[str | None, ...]) -> tuple[Sample, ...]:
    counts = tuple(((result,), results.count(result)) for result in CHECK_RESULTS)
    other = len(results) - sum(count for _, count in counts)
    return (*counts, ((OTHER,), other)) if other else counts


def _failed(server: SourceServer) -> list[Sample]:
    return [((check.name or "", check.error_code or "", check.result or ""), ONE) for check in failed_checks(server)]


CHECKS: Final = Collector(
    "checks",
    (
        ServerFamily(
            "source_server_checks",
            "Environment checks of the server by result; an undocumented result counts as other.",
            "checks[].result",
            _counts,
            ("result",),
        ),
        ServerFamily(
            "source_server_check_failed",
            "1 for each environment check of the server that ended in WARN or ERROR.",
            "checks[]: name, result, error_code",
            _failed,
            ("check", "error_code", "result"),
        ),
    ),
)
