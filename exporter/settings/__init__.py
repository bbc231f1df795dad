"""Every option: name, default, checks, and how it is read from flags, environment and file."""

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
