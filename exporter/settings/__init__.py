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
from exporter.settings.tree import NO_DETAILS, CollectorSettings, DetailSettings, LogSettings, Settings, WebSettings

__all__ = [
    "NO_DETAILS",
    "REGION_ENDPOINTS",
    "AccountSettings",
    "ApiSettings",
    "AuthSettings",
    "CollectorSettings",
    "DetailSettings",
    "FilterSettings",
    "IamSettings",
    "LimitSettings",
    "LogSettings",
    "PollSettings",
    "Settings",
    "WebSettings",
]
