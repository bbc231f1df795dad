"""Changes the address of the repository wherever it is written: `python -m tools.repository NEW_URL`.

The address in pyproject.toml counts; a test fails if another one is written anywhere.
"""

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]


def repository_url(root: Path = ROOT) -> str:
    """Return the address of the repository, from the project metadata."""
    metadata = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    url: str = metadata["project"]["urls"]["Source"]
    return url


def tracked_files(root: Path) -> list[Path]:
    """Return the text files of the repository; a file that contains a null byte or no UTF-8 is none."""
    listed = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True, check=True)  # noqa: S607
    files = (root / name for name in listed.stdout.splitlines())
    return [file for file in files if file.is_file() and not file.is_symlink() and _is_text(file)]


def _is_text(file: Path) -> bool:
    content = file.read_bytes()
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return b"\0" not in content


def change_url(root: Path, new: str) -> None:
    """Replace the address in all text files of the repository."""
    old = repository_url(root)
    for file in tracked_files(root):
        text = file.read_text(encoding="utf-8")
        if old in text:
            file.write_text(text.replace(old, new.rstrip("/")), encoding="utf-8")


if __name__ == "__main__":
    change_url(ROOT, sys.argv[1])
