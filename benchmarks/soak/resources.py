"""What a process uses at a moment, as the kernel counts it, and whether that grows."""

import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TOLERANCE: Final = 1.05
"""Growth from the first half of the measurements to the second half that still counts as flat."""
SLACK: Final = {"descriptors": 2, "sockets": 2, "threads": 1, "tasks": 4}
"""What may come in addition: some measurements are during a poll, with its tasks and a connection to the API."""
WARM_UP_TOLERANCE: Final = 1.5
"""The same for memory and objects in a run that is too short to end the warm-up."""
WARM_UP_SLACK: Final = 3
"""How many times the slack may come in addition in such a run, whose halves have one or two measurements."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The resources of a process, `seconds` after the start of the run. Memory is in bytes."""

    seconds: float
    memory: int
    descriptors: int
    sockets: int
    threads: int

    def counts(self) -> dict[str, int]:
        """Return the resources by name."""
        return {
            "memory": self.memory,
            "descriptors": self.descriptors,
            "sockets": self.sockets,
            "threads": self.threads,
        }


def read_sample(pid: int, seconds: float) -> Sample:
    """Return the resources of a running process."""
    process = Path(f"/proc/{pid}")
    memory = int((process / "statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    targets = []
    for descriptor in (process / "fd").iterdir():
        try:
            targets.append(str(descriptor.readlink()))
        except FileNotFoundError:  # It was closed in the meantime.
            continue
    sockets = sum(target.startswith("socket:") for target in targets)
    return Sample(seconds, memory, len(targets), sockets, len(list((process / "task").iterdir())))


def read_cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Growth:
    """The median of a resource in the first and in the second half of the measurements."""

    resource: str
    first: float
    second: float

    def is_flat(self, *, warming_up: bool = False) -> bool:
        """Return whether the resource has grown by no more than the tolerance."""
        if warming_up and self.resource in {"memory", "objects"}:
            return self.second <= self.first * WARM_UP_TOLERANCE
        slack = SLACK.get(self.resource, 0) * (WARM_UP_SLACK if warming_up else 1)
        return self.second <= self.first * TOLERANCE + slack


def get_growth(measurements: Sequence[Mapping[str, float]]) -> Sequence[Growth]:
    """Return the growth of each resource over measurements in order of time; at least two."""
    half = len(measurements) // 2
    first, second = measurements[:half], measurements[-half:]
    return [
        Growth(
            resource,
            statistics.median(measured[resource] for measured in first),
            statistics.median(measured[resource] for measured in second),
        )
        for resource in measurements[0]
    ]
