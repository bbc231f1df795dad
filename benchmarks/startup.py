"""The CPU time of the whole process of a command that ends by itself, compared with one that only imports aiohttp."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks import programs

RUNS: Final = 11
BASELINE: Final = "python -c 'import aiohttp'"

Command = Sequence[str]


def exporter_commands(api: programs.Program) -> Mapping[str, Command]:
    """Return the measured commands of the exporter, with an account at a served API."""
    exporter = (sys.executable, "-m", "exporter")
    account = (f"--api.endpoint={api.url}", "--auth.token=none", "--log.level=error")
    return {
        "--version": (*exporter, "--version"),
        "--help": (*exporter, "--help"),
        "check": (*exporter, "check", *account),
        "once": (*exporter, "once", *account),
    }


async def measure() -> Mapping[str, float]:
    """Return the CPU seconds of each command: the minimum of several runs, which other load disturbs least."""
    async with programs.served("api", 0) as api:
        commands = {BASELINE: (sys.executable, "-c", "import aiohttp"), **exporter_commands(api)}
        # In turn, so that other load on the machine affects all alike.
        runs = [{name: measure_cpu(command) for name, command in commands.items()} for _ in range(RUNS)]
    return {name: min(run[name] for run in runs) for name in commands}


def measure_cpu(command: Command, root: Path = programs.ROOT) -> float:
    """Run a command with the code in `root`, and return the CPU seconds of its process. It must succeed."""
    process = subprocess.Popen(  # noqa: S603 - our own command
        command, stdout=subprocess.DEVNULL, cwd=root, env=programs.environment(root)
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with exit code {process.returncode}")
    return usage.ru_utime + usage.ru_stime
