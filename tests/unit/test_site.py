"""The documentation site has the pages of the repository, and its links lead to them or to the repository."""

from pathlib import Path

import pytest

from tools.docs.site import CONFIGURATION, site_files
from tools.repository import ROOT, repository_url


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return a repository with two pages, a picture and a file that is no page."""
    (tmp_path / "docs" / "runbooks").mkdir(parents=True)
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "web.yml").touch()
    (tmp_path / "docs" / "picture.svg").write_bytes(b"<svg/>")
    (tmp_path / "docs" / "runbooks" / "Alert.md").write_text("# Alert fires\n")
    return tmp_path


def test_a_link_between_pages_is_kept(repository: Path) -> None:
    (repository / "README.md").write_text("[a](docs/runbooks/Alert.md#diagnosis) ![p](docs/picture.svg)\n")
    files = site_files(repository)
    assert files["README.md"] == "[a](docs/runbooks/Alert.md#diagnosis) ![p](docs/picture.svg)\n"
    assert files["docs/picture.svg"] == b"<svg/>"


def test_a_link_to_a_file_that_is_no_page_leads_to_the_repository(repository: Path) -> None:
    (repository / "docs" / "web.md").write_text("[example](../deploy/web.yml), [all](../deploy)\n")
    assert site_files(repository)["docs/web.md"] == (
        f"[example]({repository_url()}/blob/main/deploy/web.yml), [all]({repository_url()}/tree/main/deploy)\n"
    )


def test_a_link_to_a_directory_leads_to_its_readme(repository: Path) -> None:
    (repository / "README.md").write_text("[alerts](docs/runbooks/)\n")
    (repository / "docs" / "runbooks" / "README.md").write_text("# Alerts\n")
    assert site_files(repository)["README.md"] == "[alerts](docs/runbooks/README.md)\n"


def test_the_navigation_has_every_page_of_the_documentation() -> None:
    navigation = CONFIGURATION.read_text(encoding="utf-8")
    pages = [Path(name) for name in site_files(ROOT) if name.endswith(".md")]
    assert [
        page
        for page in pages
        if page.parent.name not in {"runbooks", "decisions"} and f'"{page.as_posix()}"' not in navigation
    ] == []
