"""`python -m benchmarks.soak.apis FLEETS`: one simulator per fleet, all in one process.

FLEETS is a JSON array of the options of `Simulator`. The first line of the output is a JSON array with the URL and the
credentials of each simulator, as in `Api`.
"""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import aiohttp

from benchmarks.programs import read_line, started
from exporter.simulator import Simulator
from exporter.simulator.signing import AccessKey


@dataclass(frozen=True)
class Api:
    """A running simulator: its URL, and its valid credentials. Two tokens and two access keys allow swaps."""

    url: str
    tokens: tuple[str, str]
    user: str
    password: str
    domain: str
    access_keys: tuple[tuple[str, str], tuple[str, str]]

    async def control(self, session: aiohttp.ClientSession, method: str, path: str, **body: object) -> None:
        """Send a request to the control endpoints."""
        async with session.request(method, f"{self.url}/control/{path}", json=body or None) as response:
            await response.read()


def _describe(simulator: Simulator) -> Api:
    user, first = simulator.user, simulator.access_key
    second = AccessKey("SIMULATORACCESSKEY01", "simulator-second-key")
    simulator.keys.add(second)
    return Api(
        simulator.url,
        (simulator.token, simulator.tokens.issue_static(user)),
        user.name,
        user.password,
        user.domain,
        ((first.ak, first.sk), (second.ak, second.sk)),
    )


@contextlib.asynccontextmanager
async def simulated_apis(fleets: Sequence[dict[str, Any]]) -> AsyncIterator[Sequence[Api]]:
    """Run a simulator for each fleet, in one process."""
    async with started(sys.executable, "-m", __name__, json.dumps(fleets)) as process:
        yield [Api(**api) for api in json.loads(await read_line(process))]


async def _serve(fleets: Sequence[dict[str, Any]]) -> None:
    async with contextlib.AsyncExitStack() as stack:
        simulators = [await stack.enter_async_context(Simulator(**fleet)) for fleet in fleets]
        for simulator in simulators:
            # A server is made at its first use, which would slow down the first polls.
            simulator.fleet.records()
        print(json.dumps([asdict(_describe(simulator)) for simulator in simulators]), flush=True)  # noqa: T201
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(json.loads(sys.argv[1])))
