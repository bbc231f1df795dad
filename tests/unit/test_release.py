"""A release has one version, in every place, and a section in the changelog."""

import subprocess
from datetime import date
from pathlib import Path

import pytest

from tools.release import current_version, set_version


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return a repository of version 0.9.1."""
    (tmp_path / "exporter").mkdir()
    (tmp_path / "deploy").mkdir()
    (tmp_path / "exporter" / "__init__.py").write_text('__version__ = "0.9.1"\n')
    (tmp_path / "deploy" / "compose.yaml").write_text("image: sms:0.9.1\nother: sms:10.9.1\n")
    (tmp_path / "requirements.txt").write_text("peer==0.9.1\n")
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## Unreleased\n\n- New.\n\n## 0.9.1 (2026-01-02)\n")
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    subprocess.run(["git", "add", "."], cwd=tmp_path, check=True)
    return tmp_path


def test_a_release_sets_the_version_of_package_and_deployment_only(repository: Path) -> None:
    set_version(repository, "1.0.0", date(2026, 3, 4))
    assert current_version(repository) == "1.0.0"
    assert (repository / "deploy" / "compose.yaml").read_text() == "image: sms:1.0.0\nother: sms:10.9.1\n"
    assert (repository / "requirements.txt").read_text() == "peer==0.9.1\n"


def test_a_release_dates_the_changes_that_were_unreleased(repository: Path) -> None:
    set_version(repository, "1.0.0", date(2026, 3, 4))
    changelog = (repository / "CHANGELOG.md").read_text()
    assert changelog == "# Changelog\n\n## 1.0.0 (2026-03-04)\n\n- New.\n\n## 0.9.1 (2026-01-02)\n"


def test_a_release_rejects_what_is_no_version(repository: Path) -> None:
    with pytest.raises(ValueError, match=r"v1\.0 is not a version"):
        set_version(repository, "v1.0", date(2026, 3, 4))
