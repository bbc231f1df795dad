"""A program that kills processes in the middle of writes: `python killed_writes.py DIRECTORY KILLS`.

It prints one line for each kill: the number of states that the process had written completely, and the number in the
file after it. Each process begins with the number that follows.
"""

import os
import signal
import sys
from pathlib import Path

from exporter.polling.state_directory import StateDirectory, SystemFiles
from exporter.polling.state_format import SavedState, decode_state, encode_state
from support import account, server, snapshot

NAME = "a.state"
SHOP = account()
STEP, COMPLETE = b".", b"!"


class ReportingFiles(SystemFiles):
    """Writes in small parts, and reports each step to another process before it is done."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe

    def write(self, descriptor: int, data: memoryview) -> int:
        os.write(self._pipe, STEP)
        return super().write(descriptor, data[:200])

    def sync(self, descriptor: int) -> None:
        os.write(self._pipe, STEP)
        super().sync(descriptor)

    def replace(self, source: Path, target: Path) -> None:
        os.write(self._pipe, STEP)
        super().replace(source, target)


def content(number: int) -> bytes:
    """Return a state that contains a number, as the count of the list, and changes in many bytes with it."""
    servers = [server(f"s{index}", name=f"web-{number}-{index * number}") for index in range(100)]
    return encode_state(SavedState(snapshot(*servers, read_at=float(number)), {}, {}), SHOP)


def written_number(directory: StateDirectory) -> int:
    """Return the number in the file; 0 if there is none. Raise Unusable if the file is damaged."""
    found = directory.read(NAME)
    return int(decode_state(found, SHOP).snapshot.read_at) if found is not None else 0


def kill_after(steps: int, directory: StateDirectory, first: int) -> int:
    """Let a process write states until it has reported some steps, and return how many it has written completely."""
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        own = StateDirectory(directory.path, ReportingFiles(writing))
        own.lock()
        number = first
        while True:
            own.write(NAME, content(number))
            os.write(writing, COMPLETE)
            number += 1
    os.close(writing)
    reported = b""
    while len(reported) < steps:
        reported += os.read(reading, steps - len(reported))
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    with os.fdopen(reading, "rb") as rest:
        reported += rest.read()
    return reported.count(COMPLETE)


def main() -> None:
    """Kill processes after different numbers of steps."""
    directory = StateDirectory(Path(sys.argv[1]))
    number = 0
    for kill in range(int(sys.argv[2])):
        complete = kill_after(1 + kill * 7 % 29, directory, number + 1)
        found = written_number(directory)
        sys.stdout.write(f"{complete} {found - number}\n")
        number = found


if __name__ == "__main__":
    main()
