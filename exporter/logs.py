"""Log lines on standard error, as logfmt or JSON, with the keys of the ecosystem: ts, level, logger, msg."""

import logging
import sys
from typing import Final, Literal

import structlog
from structlog.typing import EventDict, WrappedLogger

_FIRST: Final = ("ts", "level", "logger", "msg")


def _add_level(_: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Name the level as the options do: warn, not warning."""
    event["level"] = {"warning": "warn", "exception": "error", "critical": "error"}.get(method, method)
    return event


def _printable(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Escape what could move a terminal's cursor or begin a line: names of servers are anybody's text."""
    for key, value in event.items():
        if isinstance(value, str) and not value.isprintable() and key != "exception":
            event[key] = value.encode("unicode_escape").decode()
    return event


def configure_logs(level: Literal["debug", "info", "warn", "error"], form: Literal["logfmt", "json"]) -> None:
    """Set up the process's logging: our own lines and those of the libraries alike."""
    shared: list[structlog.typing.Processor] = [
        _add_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        structlog.processors.format_exc_info,
        structlog.processors.EventRenamer("msg"),
        _printable,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.processors.LogfmtRenderer(key_order=["ts", "level", "logger", "msg"], bool_as_flag=False)
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            foreign_pre_chain=shared,
        ),
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel({"warn": "WARNING"}.get(level, level.upper()))
