"""The configuration file as one more source of options."""

from pathlib import Path
from typing import Any

import yaml
from pydantic.fields import FieldInfo
from pydantic_settings import PydanticBaseSettingsSource

from exporter.errors import ConfigurationError


class ConfigFileSource(PydanticBaseSettingsSource):
    """Gives the options of the YAML file that config.file names, if a source before it gave that option."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Give one field's value; unused, because the file is read whole."""
        del field
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Read the file. Raises ConfigurationError where it is not a YAML mapping."""
        config = self.current_state.get("config")
        path = config.get("file") if isinstance(config, dict) else None
        return read_yaml(Path(path)) if path else {}


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping. Raises ConfigurationError, which names the file and the line."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigurationError([f"--config.file: {path} cannot be read: {reason}"]) from None
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        # Of an alias or a tag it would repeat what may be a secret.
        told = isinstance(error, yaml.scanner.ScannerError | yaml.parser.ParserError)
        problem = (told and getattr(error, "problem", None)) or "it is not YAML"
        raise ConfigurationError([f"--config.file: {path}{place}: {problem}"]) from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigurationError(
            [f"--config.file: {path} must hold a mapping of options, not a {type(content).__name__}"]
        )
    return content
