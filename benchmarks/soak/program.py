"""The exporter as a process that is observed while it runs."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Final

from benchmarks.soak.resources import Sample, read_sample

EXIT_TIMEOUT_SECONDS: Final = 20.0
ANSWER_TIMEOUT_SECONDS: Final = 30.0
SAMPLE_INTERVAL_SECONDS: Final = 2.0


class ObservedExporter:
    """A running exporter. Its log is in a file of its own."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.samples: list[Sample] = []
        self.exit_code: int | None = None
        self._process = process
        self._log = log
        self._started = asyncio.get_running_loop().time()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def seconds(self) -> float:
        """The time since the start."""
        return asyncio.get_running_loop().time() - self._started

    def read_log(self) -> str:
        """Return what the exporter has logged."""
        return self._log.read_text(encoding="utf-8")

    async def sample(self) -> None:
        """Sample the resources regularly, until cancelled."""
        while True:
            self.samples.append(read_sample(self.pid, self.seconds))
            await asyncio.sleep(SAMPLE_INTERVAL_SECONDS)

    async def measure(self, samples: int) -> Mapping[str, float]:
        """Return the lowest of each resource over some seconds, because a poll in progress uses more."""
        found: list[dict[str, float]] = []
        for _ in range(samples):
            found.append({**read_sample(self.pid, self.seconds).counts(), **await self._ask()})
            await asyncio.sleep(0.5)
        return {resource: min(one[resource] for one in found) for resource in found[0]}

    async def stop(self) -> None:
        """Ask the exporter to end, and wait until it does. Raise TimeoutError."""
        self._process.terminate()
        async with asyncio.timeout(EXIT_TIMEOUT_SECONDS):
            self.exit_code = await self._process.wait()

    async def _ask(self) -> Mapping[str, float]:
        """Return what only the process can count."""
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("the exporter was started without pipes")
        self._process.stdin.write(b"\n")
        async with asyncio.timeout(ANSWER_TIMEOUT_SECONDS):
            answer: Mapping[str, float] = json.loads(await self._process.stdout.readline())
        return answer


@contextlib.asynccontextmanager
async def observed_exporter(options: Sequence[str], folder: Path) -> AsyncIterator[ObservedExporter]:
    """Run the exporter; its home directory and its log are in `folder`."""
    log = folder / "exporter.log"
    with log.open("w", encoding="utf-8") as errors:
        process = await _start(options, folder, errors)
        try:
            yield ObservedExporter(process, log)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def _start(options: Sequence[str], home: Path, errors: IO[str]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.soak.observed",
        *options,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=errors,
        # No credentials of this machine.
        env={"PATH": os.environ["PATH"], "HOME": str(home)},
    )
