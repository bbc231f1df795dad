"""Builds the documentation site from the pages of the repository: `python -m tools.docs.site DIRECTORY`.

The pages keep their places, so links between them need no change. A link to a directory leads to its README.md; a link
to a file that is no page leads to the repository.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from tools.repository import ROOT, repository_url

CONFIGURATION: Final = Path(__file__).with_name("zensical.toml")
STYLES: Final = Path(__file__).with_name("site.css")
THEME: Final = Path(__file__).with_name("theme")
FOLDERS: Final = ("docs", "deploy", "grafana")
"""The directories that contain pages and pictures, besides the pages at the top of the repository."""

_LINK: Final = re.compile(r"(\]\()(?!https?://|#)([^)#\s]+)((?:#[^)\s]*)?\))")
_PICTURES: Final = (".png", ".svg")


def site_files(root: Path) -> dict[str, str | bytes]:
    """Return the contents of the source directory of the site by path."""
    paths = [*root.glob("*.md"), *(path for folder in FOLDERS for path in (root / folder).rglob("*"))]
    names = {path.relative_to(root).as_posix() for path in paths if path.suffix in {".md", *_PICTURES}}
    pages = {name: (root / name).read_text(encoding="utf-8") for name in names if name.endswith(".md")}
    url = repository_url()
    converted = {name: _convert_links(name, text, names, root, url) for name, text in pages.items()}
    return {**converted, **{name: (root / name).read_bytes() for name in names if not name.endswith(".md")}}


def _resolve(page: str, target: str) -> str:
    return os.path.normpath(Path(page).parent / target)


def _convert_links(page: str, text: str, names: set[str], root: Path, url: str) -> str:
    """Turn the links that do not lead to a file of the site into links to the repository."""

    def convert(match: re.Match[str]) -> str:
        before, target, after = match.groups()
        path = _resolve(page, target)
        if path in names:
            return match[0]
        if f"{path}/README.md" in names:
            return f"{before}{target.rstrip('/')}/README.md{after}"
        kind = "tree" if (root / path).is_dir() else "blob"
        return f"{before}{url}/{kind}/main/{path}{after}"

    return _LINK.sub(convert, text)


def build_site(folder: Path) -> int:
    """Write the pages to `folder`/docs, build the site strictly in `folder`/site, and return the exit code."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in site_files(ROOT).items():
        file = folder / "docs" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    shutil.copy(STYLES, folder / "docs")
    shutil.copy(CONFIGURATION, folder)
    shutil.copytree(THEME, folder / "theme")
    zensical = Path(sys.executable).with_name("zensical")
    return subprocess.run([zensical, "build", "--strict"], cwd=folder, check=False).returncode  # noqa: S603 - no input


if __name__ == "__main__":
    sys.exit(build_site(Path(sys.argv[1]).resolve()))
