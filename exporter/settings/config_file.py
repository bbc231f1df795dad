"""The configuration file as one more source of options."""

from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import PydanticBaseSettingsSource

from exporter.strict_yaml import read_file


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
        return read_file(Path(path), "--config.file") if path else {}
