"""The file read from disk: strictly, and with errors that name the key and show no secret."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from exporter.errors import ConfigurationError
from exporter.settings.strict_yaml import read_mapping
from exporter.web.toolkit.model import HttpServerConfig, RateLimit, TlsServerConfig, WebConfig

OPTION: Final = "--web.config.file"
_SECRET: Final = frozenset({("tls_server_config", "key"), ("basic_auth_users",)})
SECTIONS: Final[dict[str, type[BaseModel]]] = {
    "tls_server_config": TlsServerConfig,
    "http_server_config": HttpServerConfig,
    "rate_limit": RateLimit,
}
_SHOWN: Final = 60


def read_file(path: Path) -> bytes:
    """Read a file whole. Raises OSError, and so for a file that is none."""
    return path.read_bytes()


def parse(content: bytes, path: Path) -> WebConfig:
    """Read the content of the file at `path`. Raises ConfigurationError, one line a fault."""
    tree = read_mapping(content, f"{OPTION}: {path}")
    try:
        return WebConfig.model_validate(tree)
    except ValidationError as error:
        lines = (f"{OPTION}: {path}: {_line(fault)}" for fault in error.errors())
        raise ConfigurationError(lines) from None


def _line(fault: Any) -> str:  # noqa: ANN401 - pydantic's ErrorDetails
    location: tuple[str | int, ...] = fault["loc"]
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)[1:]
    if fault["type"] == "extra_forbidden":
        return f"{path}: no such key{_nearest(location)}"
    message = fault["msg"].removeprefix("Value error, ").removeprefix("Input ")
    given = shown(fault["input"]) if not _is_secret(location) else ""
    return f"{path}: given {given}: {message}" if given else f"{path}: {message}"


def _is_secret(location: Sequence[str | int]) -> bool:
    return any(tuple(location[: len(secret)]) == secret for secret in _SECRET)


def _nearest(location: Sequence[str | int]) -> str:
    section = SECTIONS.get(str(location[0])) if len(location) > 1 else WebConfig
    names = list(section.model_fields) if section else []
    near = difflib.get_close_matches(str(location[-1]), names, 1)
    return f"; did you mean {near[0]}?" if near else f"; there are {', '.join(names)}"


def shown(value: object) -> str:
    """Write a value as a person may see it: nothing where it is more than a word, and could hold anything."""
    if not isinstance(value, str | int | float | Path):
        return ""
    text = repr(str(value) if isinstance(value, Path) else value)
    if "\\n" in text or "PRIVATE" in text:
        return ""
    return text if len(text) <= _SHOWN or isinstance(value, Path) else f"{text[:_SHOWN]}…"
