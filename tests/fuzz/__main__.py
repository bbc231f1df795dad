"""`make fuzz`: runs the targets, each in a process of its own with coverage-guided inputs.

New inputs that reach new code are kept in build/fuzz/TARGET, where the next run continues. An input that finds a
defect is written to build/fuzz/crashes.
"""

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Final

from benchmarks.figures import find_commit

ROOT: Final = Path(__file__).parents[2]
BUILD: Final = ROOT / "build" / "fuzz"
PAGE: Final = ROOT / "docs" / "reliability.md"
CORPUS: Final = Path(__file__).parent / "corpus"
MAX_INPUT_BYTES: Final = 1024
INPUT_TIMEOUT_SECONDS: Final = 10
"""An input that takes longer is a defect. The machine may be busy."""
MEMORY_LIMIT_MB: Final = 1024

BEGIN: Final = "<!-- fuzz: make fuzz -->\n"
END: Final = "<!-- end -->"

_EXECUTED: Final = re.compile(rb"stat::number_of_executed_units: +(\d+)")
_COVERED: Final = re.compile(rb" cov: (\d+) ")


@dataclass(frozen=True)
class Run:
    """The result of one target."""

    target: str
    inputs: int
    covered: int
    failed: bool
    output: str


def run_target(target: str, seconds: int, seed: int) -> Run:
    """Fuzz one target for so long."""
    corpus = BUILD / target
    corpus.mkdir(parents=True, exist_ok=True)
    crashes = BUILD / "crashes"
    crashes.mkdir(exist_ok=True)
    dictionary = CORPUS / f"{target}.dict"
    options = (
        f"-max_total_time={seconds}",
        f"-seed={seed}",
        f"-max_len={MAX_INPUT_BYTES}",
        f"-timeout={INPUT_TIMEOUT_SECONDS}",
        f"-rss_limit_mb={MEMORY_LIMIT_MB}",
        f"-artifact_prefix={crashes}/{target}-",
        "-print_final_stats=1",
        *((f"-dict={dictionary}",) if dictionary.exists() else ()),
    )
    # The corpus in the repository is only read: libFuzzer writes to the first folder.
    command = (sys.executable, "-m", "fuzz.one", target, str(corpus), str(CORPUS / target), *options)
    done = subprocess.run(command, capture_output=True, cwd=ROOT, env=_environment(), check=False)
    executed, covered = _EXECUTED.search(done.stderr), _COVERED.findall(done.stderr)
    return Run(
        target,
        int(executed[1]) if executed else 0,
        int(covered[-1]) if covered else 0,
        done.returncode != 0,
        (done.stdout + done.stderr).decode("utf-8", "replace"),
    )


def _environment() -> Mapping[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests")))}


def add_rows(text: str, runs: Sequence[Run], when: Sequence[str]) -> str:
    """Return the page of docs/reliability.md with these runs added to its table; `when` are the cells after them."""
    above, _, rest = text.partition(BEGIN)
    table, _, below = rest.partition(END)
    heading, rows = table.splitlines()[:2], {}
    for row in table.splitlines()[2:]:
        target, inputs, *others = (cell.strip() for cell in row.strip("|").split("|"))
        rows[target] = (inputs, *others)
    for run in runs:
        earlier = rows.get(run.target, ("0",))[0]
        rows[run.target] = (f"{int(earlier.replace(',', '')) + run.inputs:,}", f"{run.covered:,}", *when)
    lines = [f"| {' | '.join((target, *cells))} |" for target, cells in rows.items()]
    return "\n".join((f"{above}{BEGIN.rstrip()}", *heading, *lines, f"{END}{below}"))


def describe_run(seconds: int, seed: int) -> Sequence[str]:
    """Return the cells of a run: its date and duration, its commit and its seed."""
    return f"{datetime.now(UTC):%Y-%m-%d}, {seconds} s", find_commit(), str(seed)


def main() -> int:
    """Fuzz; the exit code is 1 if a target found a defect."""
    targets = sorted(folder.name for folder in CORPUS.iterdir() if folder.is_dir())
    parser = argparse.ArgumentParser(prog="make fuzz")
    parser.add_argument("--seconds", type=int, default=60, help="time for each target (default: 60)")
    parser.add_argument("--target", action="append", choices=targets, help="only this target; can be repeated")
    parser.add_argument("--seed", type=int, help="seed of the inputs (default: random)")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="targets at the same time (default: one per core)"
    )
    parser.add_argument("--write", action="store_true", help="add the number of inputs to docs/reliability.md")
    arguments = parser.parse_args()
    seed = arguments.seed or Random().randrange(1, 2**31)
    print(f"seed {seed}", flush=True)  # noqa: T201 - the output of the command
    when = describe_run(arguments.seconds, seed)
    failed = False
    with ThreadPoolExecutor(arguments.jobs) as jobs:
        for run in jobs.map(lambda target: run_target(target, arguments.seconds, seed), arguments.target or targets):
            failed |= run.failed
            print(f"{run.target}: {run.inputs:,} inputs, {run.covered:,} branches", flush=True)  # noqa: T201 - as above
            if run.failed:
                print(run.output, flush=True)  # noqa: T201 - as above
            if arguments.write:
                PAGE.write_text(add_rows(PAGE.read_text(encoding="utf-8"), [run], when), encoding="utf-8")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
