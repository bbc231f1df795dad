"""`python -P one_poll.py FOLDER COLLECTORS`: the CPU seconds of polls with the code of any revision, as JSON.

It runs once for each revision that is compared, with the root of its repository as working directory and as PYTHONPATH.
FOLDER has the pages of each list, one per line. The interface to the revision is only `OurPoll`.
"""

import gc
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.polls import OurPoll

LISTS = ("small", "first", "all_changed", "one_percent")


def main(folder: Path, collectors: str) -> None:
    """Measure each kind of poll once, and print the figures."""
    small, first, all_changed, one_percent = (_read_pages(folder / name) for name in LISTS)
    now = time.time()
    OurPoll(collectors).poll(small, now)  # Computes what is computed once per process.
    gc.collect()
    gc.freeze()
    figures = {}
    for name, pages in (("all changed", all_changed), ("1 % changed", one_percent)):
        poller = OurPoll(collectors)
        figures["first poll"] = _cpu_seconds(poller, first, now)
        figures[f"second poll, {name}"] = _cpu_seconds(poller, pages, now + 60)
    sys.stdout.write(json.dumps(figures))


def _read_pages(file: Path) -> list[bytes]:
    return file.read_bytes().splitlines()


def _cpu_seconds(poller: OurPoll, pages: Sequence[bytes], now: float) -> float:
    started = time.process_time()
    poller.poll(pages, now)
    return time.process_time() - started


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
