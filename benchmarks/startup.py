"""The CPU time of the whole process of a command that ends by itself, compared with one that only imports aiohttp."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from benchmarks import programs

RUNS: Final = 11
BASELINE: Final = "python -c 'import aiohttp'"


async def measure() -> Mapping[str, float]:
    """Return the CPU seconds of each command: the minimum of several runs, which other load disturbs least."""
    exporter = (sys.executable, "-m", "exporter")
    async with programs.served("api", 0) as api:
        account = (f"--api.endpoint={api.url}", "--auth.token=none", "--log.level=error")
        commands = {
            BASELINE: (sys.executable, "-c", "import aiohttp"),
            "--version": (*exporter, "--version"),
            "--help": (*exporter, "--help"),
            "check": (*exporter, "check", *account),
            "once": (*exporter, "once", *account),
        }
        # In turn, so that other load on the machine affects all alike.
        runs = [{name: _cpu_seconds(command) for name, command in commands.items()} for _ in range(RUNS)]
    return {name: min(run[name] for run in runs) for name in commands}


def _cpu_seconds(command: Sequence[str]) -> float:
    """Run a command that must succeed, and return the CPU seconds of its process."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603 - our own command
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with exit code {process.returncode}")
    return usage.ru_utime + usage.ru_stime
