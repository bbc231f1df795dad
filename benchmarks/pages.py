"""The pages of simulated fleets as the API sends them, the same in every run."""

import random
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from exporter.simulator import Fleet

PAGE_SIZE: Final = 200
SEED: Final = 1
MOMENT: Final = 1_800_000_000.0


class _FixedClock:
    """A clock that does not advance."""

    def time(self) -> float:
        return MOMENT

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError(seconds)


def records_of(servers: int) -> list[dict[str, Any]]:
    """Return the records of a fleet at a fixed moment."""
    return Fleet(servers, seed=SEED, clock=_FixedClock()).records()


def pages_of(records: Sequence[Mapping[str, Any]]) -> list[bytes]:
    """Return a list as encoded pages."""
    return [
        msgspec.json.encode({"count": len(records), "source_servers": records[start : start + PAGE_SIZE]})
        for start in range(0, max(1, len(records)), PAGE_SIZE)
    ]


def replicated(records: Sequence[Mapping[str, Any]], share: float) -> list[dict[str, Any]]:
    """Return the list a minute later: a share of its servers has replicated data and sent heartbeats."""
    chance = random.Random(SEED)  # noqa: S311 - nothing is secret
    chosen = set(chance.sample(range(len(records)), round(len(records) * share)))
    return [_with_progress(record) if number in chosen else dict(record) for number, record in enumerate(records)]


def all_changed(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the list a minute later: every agent sent a heartbeat, and every running migration has replicated data."""
    return [
        _with_progress(record) if record["state"] in {"replicate", "syncing"} else _with_heartbeat(record)
        for record in records
    ]


def _with_heartbeat(record: Mapping[str, Any]) -> dict[str, Any]:
    return {**record, "last_visit_time": (record.get("last_visit_time") or 0) + 60_000}


def _with_progress(record: Mapping[str, Any]) -> dict[str, Any]:
    task = record.get("current_task")
    if task:
        task = {**task, "migrate_speed": 77.25, "remain_seconds": max(0, (task.get("remain_seconds") or 0) - 60)}
    replicated = (record.get("replicatesize") or 0) + 2**30
    return {**_with_heartbeat(record), "replicatesize": replicated, "current_task": task}
