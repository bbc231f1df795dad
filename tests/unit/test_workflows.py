"""The workflows run what developers can run, with pinned actions and the least permissions."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def jobs(workflow: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(workflow.read_text(encoding="utf-8"))
    assert content["permissions"] == {}, "permissions belong to the jobs"
    found: dict[str, Any] = content["jobs"]
    return found


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda workflow: workflow.name)
def test_every_action_is_pinned_by_commit_with_its_version_beside_it(workflow: Path) -> None:
    used = re.findall(r"uses: (.*)", workflow.read_text(encoding="utf-8"))
    assert used
    assert [action for action in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action)] == []


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda workflow: workflow.name)
def test_every_make_target_of_a_workflow_exists(workflow: Path) -> None:
    commands = [step["run"] for job in jobs(workflow).values() for step in job["steps"] if "run" in step]
    called = {target for command in commands for target in re.findall(r"^make (?:--silent )?([a-z-]+)", command)}
    assert called
    assert called <= TARGETS


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda workflow: workflow.name)
def test_every_job_has_a_timeout_and_permissions_of_its_own(workflow: Path) -> None:
    assert [name for name, job in jobs(workflow).items() if not {"timeout-minutes", "permissions"} <= job.keys()] == []


def test_only_the_release_may_write() -> None:
    writing = {
        workflow.name
        for workflow in WORKFLOWS
        for job in jobs(workflow).values()
        if "write" in job["permissions"].values()
    }
    assert writing == {"release.yml"}


def test_the_wheel_is_tested_on_every_python_that_the_package_names() -> None:
    classifiers = re.findall(r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    matrix = jobs(ROOT / ".github" / "workflows" / "ci.yml")["wheel"]["strategy"]["matrix"]["python"]
    assert matrix == classifiers
