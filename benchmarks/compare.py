"""`python -m benchmarks.compare REVISION`: compares the working tree with another revision of the repository.

Both run in turn, each with its own code, with the same interpreter and the same input. It prints the ratio of the
working tree to the revision: the median of all rounds, and the smallest and the largest of them. All figures are the
CPU time of one process, so that other load on the machine hardly matters.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks import programs, startup
from benchmarks.pages import all_changed, pages_of, records_of, replicated
from benchmarks.polls import ONE_PERCENT
from benchmarks.scrapes import scrapes

FLEETS: Final = (1_000, 10_000)
CHOICES: Final = ("default", "all")
SMALL_FLEET: Final = 100
ROUNDS: Final = 7
SCRAPERS: Final = 10
SCRAPES: Final = 1_000

Roots = tuple[Path, Path]
"""The folders of the revision and of the working tree."""
Figures = Mapping[str, float]
"""Seconds by what was measured."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The figures of the revision and of the working tree in each round."""

    name: str
    rounds: Sequence[tuple[float, float]]

    @property
    def ratios(self) -> Sequence[float]:
        """The figure of the working tree, relative to that of the revision, in each round."""
        return sorted(ours / theirs for theirs, ours in self.rounds)

    @property
    def ratio(self) -> float:
        """The median ratio."""
        return statistics.median(self.ratios)

    def row(self) -> str:
        """Return the table row."""
        theirs, ours = (statistics.median(figures) * 1e3 for figures in zip(*self.rounds, strict=True))
        spread = f"{self.ratios[0]:.2f} to {self.ratios[-1]:.2f}"
        return f"| {self.name} | **{self.ratio:.2f}** | {spread} | {theirs:.2f} | {ours:.2f} |"


def compare(revision: Path, fleets: Sequence[int], rounds: int) -> Iterator[Comparison]:
    """Yield what is compared with the revision in a folder."""
    roots = (revision, programs.ROOT)
    yield from asyncio.run(_compare_startup(roots, rounds))
    for servers in fleets:
        with tempfile.TemporaryDirectory() as folder:
            _write_lists(Path(folder), servers)
            for choice in CHOICES:
                polls = [[_poll(root, Path(folder), choice) for root in roots] for _ in range(rounds)]
                yield from _comparisons(polls, f"{servers:,} servers, {choice} collectors: ")
        yield asyncio.run(_compare_scrapes(roots, servers, rounds))


def _comparisons(rounds: Sequence[Sequence[Figures]], prefix: str) -> Iterator[Comparison]:
    for name in rounds[0][0]:
        yield Comparison(f"{prefix}{name}", [(theirs[name], ours[name]) for theirs, ours in rounds])


async def _compare_startup(roots: Roots, rounds: int) -> Sequence[Comparison]:
    async with programs.served("api", 0) as api:
        commands = startup.exporter_commands(api)
        figures = [
            [{name: startup.measure_cpu(command, root) for name, command in commands.items()} for root in roots]
            for _ in range(rounds)
        ]
    return list(_comparisons(figures, "command "))


async def _compare_scrapes(roots: Roots, servers: int, rounds: int) -> Comparison:
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(programs.served("api", servers))
        exporters = [
            await stack.enter_async_context(programs.exporter(api, "default", "--poll.interval=1h", root=root))
            for root in roots
        ]
        figures = [[await _measure_scrape(exporter) for exporter in exporters] for _ in range(rounds)]
    return Comparison(f"{servers:,} servers: scrape", [(theirs, ours) for theirs, ours in figures])


async def _measure_scrape(exporter: programs.Program) -> float:
    """Return the CPU seconds of the exporter for one scrape."""
    before = exporter.cpu_seconds()
    await scrapes(f"{exporter.url}/metrics", SCRAPES, SCRAPERS)
    return (exporter.cpu_seconds() - before) / SCRAPES


def _write_lists(folder: Path, servers: int) -> None:
    """Write the pages of the lists, which must be the same for both revisions."""
    first = records_of(servers)
    lists = {
        "small": records_of(SMALL_FLEET),
        "first": first,
        "all_changed": all_changed(first),
        "one_percent": replicated(first, ONE_PERCENT),
    }
    for name, records in lists.items():
        (folder / name).write_bytes(b"\n".join(pages_of(records)))


def _poll(root: Path, folder: Path, choice: str) -> Figures:
    command = (sys.executable, "-P", str(Path(__file__).with_name("one_poll.py")), str(folder), choice)
    printed = subprocess.run(  # noqa: S603 - our own command
        command, cwd=root, env=programs.environment(root), stdout=subprocess.PIPE, check=True
    ).stdout
    figures: Figures = json.loads(printed)
    return figures


def _check_out(revision: str, folder: Path) -> None:
    """Write the files of a revision into a folder. Exit if there is no such revision."""
    archive = subprocess.run(  # noqa: S603 - a revision that the user names
        ("git", "archive", revision),  # noqa: S607
        cwd=programs.ROOT,
        stdout=subprocess.PIPE,
        check=False,
    )
    if archive.returncode:
        sys.exit(archive.returncode)  # Git has printed the reason.
    subprocess.run(("tar", "-x", "-C", str(folder)), input=archive.stdout, check=True)  # noqa: S603, S607


def main() -> int:
    """Compare, print a table, and return 1 if a median ratio is above the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("revision", help="commit, tag or branch to compare the working tree with")
    parser.add_argument("--servers", type=int, nargs="+", default=FLEETS, help="sizes of fleets")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--max-ratio", type=float, default=float("inf"), help="exit with 1 if a ratio is above this")
    arguments = parser.parse_args()
    slower = 0
    with tempfile.TemporaryDirectory() as folder:
        _check_out(arguments.revision, Path(folder))
        _print(f"| what | working tree / {arguments.revision} | spread | {arguments.revision}, ms | working tree, ms |")
        _print("| --- | --- | --- | --- | --- |")
        for comparison in compare(Path(folder), arguments.servers, arguments.rounds):
            _print(comparison.row())
            slower += comparison.ratio > arguments.max_ratio
    return 1 if slower else 0


def _print(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - the output of the command


if __name__ == "__main__":
    sys.exit(main())
