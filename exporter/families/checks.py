"""The collector `checks`: the environment checks of each source server."""

from collections.abc import Iterator
from typing import Final

from exporter.families.family import Collector, Sample, ServerFamily
from exporter.model import CHECK_RESULTS, FAILED_RESULTS, SourceServer
from exporter.snapshot import OTHER


def _counts(server: SourceServer) -> Iterator[Sample]:
    if server.checks is None:
        return
    results = [check.result for check in server.checks]
    other = len(results)
    for result in CHECK_RESULTS:
        count = results.count(result)
        other -= count
        yield (result,), count
    if other:
        yield (OTHER,), other


def _failed(server: SourceServer) -> Iterator[Sample]:
    for check in server.checks or ():
        if check.result in FAILED_RESULTS:
            yield (check.name or "", check.error_code or "", check.result or ""), 1


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
