"""Every option: its name, default and check, and how it is read from flags, environment, file and secrets."""

from exporter.settings.account import (
    REGION_ENDPOINTS,
    AccountSettings,
    ApiSettings,
    AuthSettings,
    FilterSettings,
    IamSettings,
    LimitSettings,
    PollSettings,
)
from exporter.settings.tree import CollectorSettings, LogSettings, Settings, WebSettings

__all__ = [
    "REGION_ENDPOINTS",
    "AccountSettings",
    "ApiSettings",
    "AuthSettings",
    "CollectorSettings",
    "FilterSettings",
    "IamSettings",
    "LimitSettings",
    "LogSettings",
    "PollSettings",
    "Settings",
    "WebSettings",
]
