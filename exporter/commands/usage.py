"""What the help of several commands says, and the exit codes that they share."""

from types import MappingProxyType
from typing import Final

from exporter.commands.output import PROG

EXIT_FAILURE: Final = 1
EXIT_INVALID_CONFIGURATION: Final = 2

DESCRIPTION: Final = "Exports the source servers of Huawei Cloud Server Migration Service (SMS) to Prometheus."
SERVING_EXIT_CODES: Final = MappingProxyType(
    {
        0: "Clean shutdown (SIGTERM or SIGINT).",
        EXIT_FAILURE: "An address cannot be listened on.",
        EXIT_INVALID_CONFIGURATION: "The configuration is invalid, or an account has no credentials.",
    },
)
OPTION_SOURCES: Final = (
    "Every option is also an environment variable and a key of the configuration file: --poll.interval is "
    "SMS_EXPORTER_POLL_INTERVAL and poll: {interval: ...}. Flags take precedence over variables, variables over the "
    "file; an account entry in the file takes precedence over all of them for that account."
)
ALL_OPTIONS_HINT: Final = f"All options: {PROG} --help"
TARGET_PORT: Final = (
    "Port on which most target servers of launched migrations accept connections, at loopback addresses from "
    "127.64.0.1 (default: none does)."
)
"""The description of the option --target-port."""
