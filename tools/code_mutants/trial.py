"""Runs tests on a mutant, in a process that has everything imported except this project's own modules."""

import gc
import importlib.abc
import importlib.machinery
import importlib.util
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from types import ModuleType
from typing import IO, Final, NoReturn

import hypothesis
import pytest

from tools.code_mutants.changes import Mutant

ROOT: Final = Path(__file__).parent.parent.parent

QUIET: Final = ("-n0", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning")
"""Options of pytest for a process that forks, whose parent has imported what it imports."""

MAX_IDLE_SECONDS: Final = 10.0
"""Time without any CPU time after which tests hang."""

MAX_MEMORY_BYTES: Final = 4 * 2**30
"""Address space of a process that runs tests: a mutant may never stop to allocate."""


class _Loader(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Loads one module from the source of a mutant."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return the spec of the changed module, None for all others."""
        del path, target
        if fullname != self._mutant.module:
            return None
        file = ROOT.joinpath(*fullname.split(".")).with_suffix(".py")
        return importlib.util.spec_from_file_location(fullname, file, loader=self)

    def get_source(self, fullname: str) -> str:
        """Return the source of the mutant."""
        del fullname
        return self._mutant.source.decode()

    def get_filename(self, fullname: str) -> str:
        """Return the name of the real file."""
        return str(ROOT.joinpath(*fullname.split(".")).with_suffix(".py"))


class WithoutShrinking:
    """A plugin of pytest: an example that fails is enough, and need not be made smaller."""

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self) -> None:
        """Choose a profile after the tests' own."""
        phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
        hypothesis.settings.register_profile("mutants", hypothesis.settings(), phases=phases)
        hypothesis.settings.load_profile("mutants")


class _Collection:
    """A plugin of pytest that lists the collected tests."""

    def __init__(self) -> None:
        self.tests: set[str] = set()

    def pytest_collection_modifyitems(self, items: Sequence[pytest.Item]) -> None:
        self.tests.update(item.nodeid for item in items)


def import_dependencies(files: Sequence[Path]) -> Collection[str]:
    """Import what the tests import, and forget the project's own modules; return the tests."""
    collection = _Collection()
    pytest.main([*map(str, files), "--collect-only", "-qqq", *QUIET], plugins=[collection])
    own = [
        name
        for name, module in sys.modules.items()
        if (file := getattr(module, "__file__", None))
        and Path(file).is_relative_to(ROOT)
        and not Path(file).is_relative_to(ROOT / ".venv")
        and not name.startswith(("tools.code_mutants", "__main__"))
        and name != "tools"
    ]
    for name in own:
        del sys.modules[name]
    gc.collect()
    gc.freeze()
    return collection.tests


class _Journal:
    """A plugin of pytest that writes which test is run: the last one failed, hangs, or ended the process."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._file.write(nodeid.encode() + b"\n")
        self._file.flush()


def find_failure(mutant: Mutant, tests: Sequence[str], cpu_seconds: float) -> str | None:
    """Return the first test that fails with the mutant or hangs; "" if no test can be run, None if all pass.

    Tests hang if they take more than `cpu_seconds` of CPU time together, or none for MAX_IDLE_SECONDS: on a busy
    machine any time can pass.
    """
    with tempfile.TemporaryFile() as journal:
        process = os.fork()
        if not process:
            _run(mutant, tests, journal)
        if _passes(process, cpu_seconds):
            return None
        journal.seek(0)
        return journal.read().decode().rpartition("\n")[0].rpartition("\n")[2]


def _passes(process: int, cpu_seconds: float) -> bool:
    """Wait until a process has ended, or kill it if it hangs; return whether it ended with success."""
    used, active_at = 0.0, time.monotonic()
    while True:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return status == 0
        now = time.monotonic()
        if (total := _read_cpu_seconds(process)) > used:
            used, active_at = total, now
        if used > cpu_seconds or now - active_at > MAX_IDLE_SECONDS:
            os.killpg(process, signal.SIGKILL)
            os.waitpid(process, 0)
            return False
        time.sleep(0.02)


def _read_cpu_seconds(process: int) -> float:
    """Return how much CPU time a process has used, with all its threads."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _run(mutant: Mutant, tests: Sequence[str], journal: IO[bytes]) -> NoReturn:
    """Run the tests and exit: 0 if all pass."""
    os.setsid()
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)
    sys.meta_path.insert(0, _Loader(mutant))
    status: int = 1
    try:
        status = int(pytest.main([*tests, "-x", "-q", *QUIET], plugins=[WithoutShrinking(), _Journal(journal)]))
    finally:
        os._exit(status)
