"""What differs between the configuration in force and one that is to replace it."""

from typing import Final

from exporter.settings.account import AccountSettings
from exporter.settings.options import Option, options
from exporter.settings.tree import Settings

LIVE: Final = frozenset({*AccountSettings.model_fields, "account", "accounts", "collector", "log", "config"})
"""Groups that take effect when they change; all others wait for a restart."""


def without_fixed(before: Settings, after: Settings) -> tuple[Settings, tuple[str, ...]]:
    """Give `after` with what cannot change while the exporter runs as in `before`, and the flags of that."""
    fixed = [option for option in options(type(before)) if (option.group or option.name) not in LIVE]
    waiting = tuple(option.flag for option in fixed if _value(before, option) != _value(after, option))
    groups = {option.group or option.name for option in fixed}
    return after.model_copy(update={name: getattr(before, name) for name in groups}), waiting


def same_connection(before: AccountSettings, after: AccountSettings) -> bool:
    """Tell whether the account is reached in the same way: the same API, credentials and filters."""
    return after.model_copy(update={"poll": before.poll, "limits": before.limits}) == before


def same_list(before: AccountSettings, after: AccountSettings) -> bool:
    """Tell whether the same servers are meant, so that what is known of them stays true."""
    return (before.api.url, before.filter) == (after.api.url, after.filter)


def _value(settings: Settings, option: Option) -> object:
    return getattr(getattr(settings, option.group) if option.group else settings, option.name)
