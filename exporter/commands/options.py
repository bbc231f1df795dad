"""The options of commands that poll each account once, and how they are loaded."""

from collections.abc import Sequence
from typing import TypeVar

from exporter.logs import configure_logs
from exporter.settings import LogSettings, Settings
from exporter.settings.loading import load_settings
from exporter.settings.manual import Manual


class OnceSettings(Settings):
    """Options of a command that polls once and prints the failures itself."""

    MOST_USED = ("config.file", "api.region", "auth.access_key_file", "auth.secret_key_file", "log.level")

    log: LogSettings = LogSettings(level="error")


S = TypeVar("S", bound=OnceSettings)


def load_once(tree: type[S], argv: Sequence[str], manual: Manual) -> S:
    """Read the options of a command and set up its logs. Raise ConfigurationError, or HelpRequested for `--help`."""
    settings = load_settings(tree, argv, manual)
    configure_logs(settings.log.level, settings.log.format)
    return settings
