"""Results of consistency verifications are read one after the other, within the time of a reading."""

from typing import Any

import msgspec
import pytest

from exporter.polling.consistency import read_consistency
from exporter.polling.detail_client import DetailClient, LeftOut
from exporter.polling.snapshot import Snapshot
from support import server, snapshot

RESULT = {"result_list": [{"consistency_result": [{"num_total_files": 7}]}]}


class SlowClient:
    """A client whose readings have time for a number of requests."""

    def __init__(self, requests_per_reading: int) -> None:
        self._requests_per_reading = requests_per_reading
        self.paths: list[str] = []
        self.left_out = LeftOut()

    @property
    def has_time(self) -> bool:
        return len(self.paths) < self._requests_per_reading

    async def read_object(self, path: str, _: str) -> bytes:
        self.paths.append(path)
        return msgspec.json.encode(RESULT)


def verified(count: int) -> Snapshot:
    """Return a snapshot of servers that have a result."""
    return snapshot(
        *(
            server(f"s{number}", is_consistency_result_exist=True, current_task={"id": f"t{number}"})
            for number in range(count)
        )
    )


async def read(client: Any, servers: Snapshot, previous: Any) -> Any:
    return await read_consistency(client, servers, previous)


async def test_results_for_which_there_is_no_time_are_read_later_and_are_no_failure() -> None:
    first, second, third = SlowClient(2), SlowClient(2), SlowClient(2)
    servers = verified(3)
    reading = await read(first, servers, {})
    assert (sorted(reading.records), reading.error) == (["s0", "s1"], None)
    reading = await read(second, servers, reading.records)
    assert (sorted(reading.records), reading.error) == (["s0", "s1", "s2"], None)
    assert len({*first.paths, *second.paths}) == 3
    await read(third, servers, reading.records)
    assert third.paths == []


@pytest.mark.parametrize(("timeout", "has_time"), [(0.0, False), (3600.0, True)])
async def test_a_client_has_time_in_the_first_half_of_a_reading(timeout: float, has_time: bool) -> None:
    unused: Any = None
    client = DetailClient(unused, {}, "auto")
    with client.reading(lambda: None, timeout):
        assert client.has_time is has_time
