"""The ceiling on an account's series: over it whole collectors are dropped, the most detailed first."""

from collections.abc import Mapping
from typing import Final

DROP_ORDER: Final = ("disks", "checks", "tasks", "servers")
"""The collectors in the order in which they are dropped; the fleet never is."""


def over_ceiling(series: Mapping[str, int], ceiling: int) -> tuple[str, ...]:
    """Give the collectors to drop so that the rest has at most `ceiling` series; 0 is no ceiling.

    `series` is how many series each collector has. Where even the fleet has more, all others are dropped.
    """
    dropped: list[str] = []
    left = sum(series.values())
    for name in DROP_ORDER:
        if ceiling == 0 or left <= ceiling:
            break
        if name in series:
            dropped.append(name)
            left -= series[name]
    return tuple(dropped)
