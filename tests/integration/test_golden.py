"""The whole exposition of a frozen fleet, compared with a file that a person can read."""

import os
import re

import pytest

from exporter.simulator import Fleet, Simulator
from support import GOLDEN, FakeClock, example_servers, exporting, fetch, next_poll

# Differs between runs: addresses, versions, the process.
VARIABLE = re.compile(
    r"^(# \w+ )?(process_|python_|huaweicloud_sms_(account_info|exporter_build_info))[^\n]*\n", re.MULTILINE
)


@pytest.mark.parametrize(
    ("name", "accept"), [("example.txt", "text/plain"), ("example.openmetrics", "application/openmetrics-text")]
)
async def test_the_exposition_of_the_example_is_the_golden_one(name: str, accept: str, clock: FakeClock) -> None:
    fleet = Fleet.from_records(example_servers(), clock=clock)
    async with (
        Simulator(fleet=fleet, clock=clock) as simulator,
        exporting(simulator, clock, collector={"disks": True}) as service,
    ):
        fleet.override(fleet.ids[4], state="replicate", replicatesize=4096)
        await next_poll(clock)
        _, text, _ = await fetch(f"{service.urls[0]}/metrics", Accept=accept)
    exposed = VARIABLE.sub("", text)
    path = GOLDEN / name
    if os.environ.get("WRITE_GOLDEN"):
        path.write_text(exposed)
    assert exposed == path.read_text(), "check the difference; if it is intended: make golden"
