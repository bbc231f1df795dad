"""Options as a user gives them on the command line."""

import pytest

from exporter.errors import ConfigurationError
from exporter.settings import Settings
from exporter.settings.loading import load_settings
from exporter.settings.manual import Manual


def load(*argv: str) -> Settings:
    return load_settings(Settings, argv, Manual("sms-exporter", "Test.", {0: "Success."}))


def check_bounds(flag: str, allowed: tuple[str | None, ...], forbidden: tuple[str | None, ...]) -> None:
    """Check that values of an option are allowed, and that others are an error which names the option."""
    for value in filter(None, allowed):
        load(f"--{flag}={value}")
    for value in filter(None, forbidden):
        with pytest.raises(ConfigurationError) as error:
            load(f"--{flag}={value}")
        assert error.value.lines[0].startswith(f"--{flag}: ")
