"""Prepares a release: `python -m tools.release VERSION` sets the version everywhere and dates the changelog.

Afterwards commit, and tag the commit `vVERSION`: the workflow `release.yml` publishes the tag.
"""

import re
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

from tools.repository import ROOT, tracked_files

PLACES: Final = ("exporter/__init__.py", "deploy/", "docs/")
"""Where the version is written: the package, image tags, the chart and examples."""

_VERSION: Final = re.compile(r"\d+\.\d+\.\d+")


def current_version(root: Path) -> str:
    """Return the version of the package."""
    text = (root / "exporter" / "__init__.py").read_text(encoding="utf-8")
    match = re.search(r'^__version__ = "(.*)"$', text, re.MULTILINE)
    if match is None:
        raise ValueError("exporter/__init__.py has no version")
    return match[1]


def set_version(root: Path, new: str, today: date) -> None:
    """Replace the version in all files, and give the section "Unreleased" of the changelog its name and date."""
    if not _VERSION.fullmatch(new):
        msg = f"{new} is not a version: use MAJOR.MINOR.PATCH"
        raise ValueError(msg)
    old = re.compile(rf"(?<![\d.]){re.escape(current_version(root))}(?![\d.])")
    for file in tracked_files(root):
        if file.relative_to(root).as_posix().startswith(PLACES):
            text = file.read_text(encoding="utf-8")
            file.write_text(old.sub(new, text), encoding="utf-8")
    changelog = root / "CHANGELOG.md"
    text = changelog.read_text(encoding="utf-8")
    changelog.write_text(text.replace("## Unreleased", f"## {new} ({today})", 1), encoding="utf-8")


if __name__ == "__main__":
    set_version(ROOT, sys.argv[1], datetime.now(UTC).date())
