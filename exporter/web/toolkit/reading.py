"""The web configuration file read from disk, with errors that name the line and the key and show no secret."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from exporter.settings.document import Document, Location
from exporter.settings.faults import format_safely, validate
from exporter.settings.files import read_regular_file
from exporter.web.toolkit.model import WebConfig

OPTION: Final = "--web.config.file"
MAX_FILE_BYTES: Final = 2**20

Locate = Callable[[Location], str]
"""Returns where a key is, or would be: the option, the file, the line and the key."""


def read_file(path: Path) -> bytes:
    """Return the content of a file. Raise OSError if it cannot be read within the limits."""
    return read_regular_file(path, MAX_FILE_BYTES)


def parse(content: bytes, path: Path) -> tuple[WebConfig, Locate]:
    """Parse the content of the file at `path`. Raise ConfigurationError with one line per error."""
    from exporter.settings.strict_yaml import parse_yaml

    document = parse_yaml(content, f"{OPTION}: {path}")

    def locate(location: Location) -> str:
        line = _nearest_line(document, location)
        place = f"{OPTION}: {path}{f' line {line}' if line else ''}"
        return ": ".join(filter(None, (place, format_safely(location, WebConfig))))

    return validate(lambda: WebConfig.model_validate(document.content), WebConfig, locate), locate


def _nearest_line(document: Document, location: Location) -> int | None:
    """Return the line of a key, or of the section that lacks it."""
    lines = (document.line(location[:length]) for length in range(len(location), 0, -1))
    return next((line for line in lines if line is not None), None)
