"""The Dockerfile: linted, and its steps run in a clean directory without a container engine."""

import json
import os
import re
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from exporter import __version__
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


def build(root: Path) -> Path:
    """Run the steps of the first stage with directories in `root` for /src and /opt, without network; return /opt."""
    (root / "src").mkdir(parents=True)
    (root / "opt").mkdir()
    (root / "bin").mkdir()
    for name in ("python", "pip"):
        (root / "bin" / name).symlink_to(Path(sys.prefix) / "bin" / name)
    environment = {
        "PATH": f"{root / 'bin'}:/usr/bin:/bin",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(WHEELS),
        "REVISION": "0123abc",
        "SOURCE_DATE_EPOCH": "1700000000",
    }
    stages = 0
    for instruction, rest in instructions():
        stages += instruction == "FROM"
        if stages != 1:
            continue
        if instruction == "COPY":
            *sources, target = rest.split()
            for source in sources:
                copy(ROOT / source, root / "src" / target / ("" if len(sources) == 1 else Path(source).name))
        if instruction == "RUN":
            command = rest.replace("/opt/", f"{root}/opt/")
            subprocess.run(["/bin/sh", "-c", command], cwd=root / "src", env=environment, check=True)
    return root / "opt"


def copy(source: Path, target: Path) -> None:
    """Copy a file or a directory."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


@pytest.fixture(scope="module")
def opt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the files of the image."""
    if not (WHEELS / ".built").exists():
        if os.environ.get("CI"):
            pytest.fail("the packages of the image are missing: run make tools")
        pytest.skip("the packages of the image are missing: run make tools")
    return build(tmp_path_factory.mktemp("image"))


def contents(folder: Path) -> dict[str, tuple[str, int, int]]:
    """Return the digest, mode and time of everything in a directory, by path."""
    return {
        str(path.relative_to(folder)): (
            str(path.readlink())
            if path.is_symlink()
            else ""
            if path.is_dir()
            else sha256(path.read_bytes()).hexdigest(),
            path.lstat().st_mode,
            int(path.lstat().st_mtime),
        )
        for path in (folder, *folder.rglob("*"))
    }


async def test_hadolint_passes() -> None:
    hadolint = str(Path(sys.prefix) / "bin" / "hadolint")
    assert await run(hadolint, "--failure-threshold=style", str(DOCKERFILE)) == (0, "", "")


def test_the_build_context_contains_exactly_what_is_copied() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copies = [rest.split() for instruction, rest in instructions() if instruction == "COPY" and "--from" not in rest]
    copied = {source for *sources, _ in copies for source in sources}
    assert copied == allowed


def test_the_image_runs_as_non_root_and_without_a_shell() -> None:
    assert int(last("USER").partition(":")[0]) > 0
    assert json.loads(last("ENTRYPOINT"))[0].startswith("/opt/")
    assert json.loads(last("HEALTHCHECK").partition("CMD ")[2])[0].startswith("/opt/")
    stages = [rest for instruction, rest in instructions() if instruction == "FROM"]
    assert stages == ["python:${PYTHON} AS build", "python:${PYTHON}"]
    assert re.fullmatch(r"PYTHON=3\.\d+\.\d+-slim-\w+", next(rest for name, rest in instructions() if name == "ARG"))


def test_all_threads_in_the_image_use_one_heap() -> None:
    assert last("ENV") == "MALLOC_ARENA_MAX=1"


async def test_the_built_files_run_check_their_health_and_report_the_revision(opt: Path) -> None:
    entrypoint = [part.replace("/opt/", f"{opt}/") for part in json.loads(last("ENTRYPOINT"))]
    check = [part.replace("/opt/", f"{opt}/") for part in json.loads(last("HEALTHCHECK").partition("CMD ")[2])]
    assert (await run(*CLEAN, *entrypoint, "--version"))[1].splitlines()[0].endswith("0123abc)")
    demo = ("demo", "--web.listen-address=127.0.0.1:0", "--servers=3")
    async with started(*CLEAN, *entrypoint, *demo) as process:
        address = (await printed_url(process)).removeprefix("http://")
        assert await run(*CLEAN, *check, address) == (0, "", "")
    assert (await run(*CLEAN, *check, address))[0] == 1
    assert {path.name for path in (opt / "sms-exporter").iterdir()} <= {"bin", "lib", "lib64", "pyvenv.cfg", "share"}
    assert not [
        path.name for path in (opt / "sms-exporter" / "bin").iterdir() if re.match("pip|[aA]ctivate", path.name)
    ]


def test_scanners_find_the_package_with_its_version_and_license(opt: Path) -> None:
    (metadata,) = (opt / "sms-exporter").glob("lib/python3*/site-packages/huaweicloud_sms_exporter-*.dist-info")
    assert metadata.name == f"huaweicloud_sms_exporter-{__version__}.dist-info"
    assert "License-Expression: Apache-2.0" in (metadata / "METADATA").read_text(encoding="utf-8")
    assert (metadata / "licenses" / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_two_builds_give_the_same_bytes(opt: Path) -> None:
    first = contents(opt / "sms-exporter")
    root = opt.parent
    kept = root.with_name("kept")
    root.rename(kept)
    try:
        second = contents(build(root) / "sms-exporter")
    finally:
        shutil.rmtree(root)
        kept.rename(root)
    assert len(first) > 1000
    assert {
        path: (first.get(path), second.get(path))
        for path in first.keys() | second
        if first.get(path) != second.get(path)
    } == {}
    assert {time for _, _, time in first.values()} == {1700000000}


def test_the_image_has_the_labels_of_its_build() -> None:
    labels = dict(re.findall(r'org\.opencontainers\.image\.([a-z.]+)="([^"]*)"', last("LABEL")))
    assert labels["version"] == "${VERSION}"
    assert labels["revision"] == "${REVISION}"
    assert labels["created"] == "${CREATED}"
    assert labels["base.name"] == "docker.io/library/python:${PYTHON}"
    assert labels["licenses"] == "Apache-2.0"
