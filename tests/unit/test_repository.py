"""The address of the repository is written the same everywhere, and can be changed in one place."""

import re
import subprocess
from pathlib import Path

import pytest

from tools.repository import ROOT, change_url, repository_url, tracked_files

ADDRESS = re.compile(r"https://[\w.-]+/[\w.-]+/huaweicloud-sms-exporter")


def test_every_file_has_the_address_of_the_project_metadata() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("this is no repository")
    addresses = {
        address: file for file in tracked_files(ROOT) for address in ADDRESS.findall(file.read_text(encoding="utf-8"))
    }
    assert set(addresses) == {repository_url()}, addresses


def test_the_address_is_changed_in_every_file(tmp_path: Path) -> None:
    old = "https://example.com/old/exporter"
    (tmp_path / "pyproject.toml").write_text(f'[project.urls]\nSource = "{old}"\n')
    (tmp_path / "input").write_bytes(b"\xff\xfe\0")
    (tmp_path / "rules.yml").write_text(f"runbook_url: {old}/blob/main/docs/runbooks/A.md\n")
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    subprocess.run(["git", "add", "."], cwd=tmp_path, check=True)
    change_url(tmp_path, "https://example.org/new/exporter/")
    assert repository_url(tmp_path) == "https://example.org/new/exporter"
    rules = (tmp_path / "rules.yml").read_text()
    assert rules == "runbook_url: https://example.org/new/exporter/blob/main/docs/runbooks/A.md\n"
