"""The Dockerfile: linted, and its steps run in a clean directory without a container engine."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from programs import TOOLS, printed_url, run, started

ROOT = Path(__file__).parent.parent.parent
DOCKERFILE = ROOT / "Dockerfile"
WHEELS = TOOLS.parent / "wheels"
CLEAN = ("/usr/bin/env", "-i", "--chdir=/")
"""Runs a command like the image does: without environment variables, in the root directory."""
INSTRUCTION = re.compile(r"^([A-Z]+) (.*)$")


def instructions() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile, continued lines joined."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(encoding="utf-8"), flags=re.MULTILINE).replace("\\\n", " ")
    return [found.groups() for line in text.splitlines() if (found := INSTRUCTION.match(line))]  # type: ignore[misc]


def last(name: str) -> str:
    return next(rest for instruction, rest in reversed(instructions()) if instruction == name)


@pytest.fixture(scope="module")
def opt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the steps of the first stage in temporary directories for /src and /opt, without network."""
    if not (WHEELS / ".built").exists():
        if os.environ.get("CI"):
            pytest.fail("the packages of the image are missing: run make tools")
        pytest.skip("the packages of the image are missing: run make tools")
    root = tmp_path_factory.mktemp("image")
    (root / "src").mkdir()
    (root / "bin").mkdir()
    for name in ("python", "pip"):
        (root / "bin" / name).symlink_to(Path(sys.prefix) / "bin" / name)
    environment = {
        "PATH": f"{root / 'bin'}:/usr/bin:/bin",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(WHEELS),
        "REVISION": "0123abc",
    }
    stages = 0
    for instruction, rest in instructions():
        stages += instruction == "FROM"
        if stages != 1:
            continue
        if instruction == "COPY":
            source, target = rest.split()
            (root / "src" / target).parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, root / "src" / target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / source, root / "src" / target)
        if instruction == "RUN":
            command = rest.replace("/opt/", f"{root}/opt/")
            subprocess.run(["/bin/sh", "-c", command], cwd=root / "src", env=environment, check=True)
    return root / "opt"


async def test_hadolint_passes() -> None:
    hadolint = str(Path(sys.prefix) / "bin" / "hadolint")
    assert await run(hadolint, "--failure-threshold=style", str(DOCKERFILE)) == (0, "", "")


def test_the_build_context_contains_exactly_what_is_copied() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {rest.split()[0] for instruction, rest in instructions() if instruction == "COPY" and "--from" not in rest}
    assert copied == allowed


def test_the_image_runs_as_non_root_and_without_a_shell() -> None:
    assert int(last("USER").partition(":")[0]) > 0
    assert json.loads(last("ENTRYPOINT"))[0].startswith("/opt/")
    assert json.loads(last("HEALTHCHECK").partition("CMD ")[2])[0].startswith("/opt/")
    stages = [rest for instruction, rest in instructions() if instruction == "FROM"]
    assert stages == ["python:${PYTHON} AS build", "python:${PYTHON}"]
    assert re.fullmatch(r"PYTHON=3\.\d+\.\d+-slim-\w+", next(rest for name, rest in instructions() if name == "ARG"))


async def test_the_built_files_run_check_their_health_and_report_the_revision(opt: Path) -> None:
    entrypoint = [part.replace("/opt/", f"{opt}/") for part in json.loads(last("ENTRYPOINT"))]
    check = [part.replace("/opt/", f"{opt}/") for part in json.loads(last("HEALTHCHECK").partition("CMD ")[2])]
    assert (await run(*CLEAN, *entrypoint, "--version"))[1].splitlines()[0].endswith("0123abc)")
    demo = ("demo", "--web.listen-address=127.0.0.1:0", "--servers=3")
    async with started(*CLEAN, *entrypoint, *demo) as process:
        address = (await printed_url(process)).removeprefix("http://")
        assert await run(*CLEAN, *check, address) == (0, "", "")
    assert (await run(*CLEAN, *check, address))[0] == 1
    assert not (opt / "sms-exporter" / "bin" / "pip").exists()
