"""The reference pages are what the code says, and links lead somewhere."""

import re
from pathlib import Path

import pytest

from docs.generate import FOLDER, pages

ROOT = FOLDER.parent
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)(#[^)\s]*)?\)")


@pytest.mark.parametrize("name", ["metrics.md", "fields.md", "configuration.md"])
def test_a_reference_page_is_built_from_the_code(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == pages()[name], "build it anew: make docs"


@pytest.mark.parametrize("page", sorted(ROOT.glob("*.md")) + sorted(FOLDER.rglob("*.md")), ids=lambda page: page.name)
def test_every_link_of_a_page_leads_to_a_file(page: Path) -> None:
    for target, _ in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_every_page_is_linked_from_the_index_of_the_documentation() -> None:
    linked = {target for target, _ in LINK.findall((FOLDER / "README.md").read_text(encoding="utf-8"))}
    assert {page.name for page in FOLDER.glob("*.md")} - {"README.md"} <= linked
