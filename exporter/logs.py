"""Log lines on standard error, as logfmt or JSON, with the keys of the ecosystem: ts, level, logger, msg."""

import json
import logging
import sys
from typing import Final, Literal

import structlog
from structlog.typing import EventDict, WrappedLogger

_FIRST: Final = ("ts", "level", "logger", "msg")
_QUOTED: Final = frozenset(' ="')


def _add_level(_: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Name the level as the options do: warn, not warning."""
    event["level"] = {"warning": "warn", "exception": "error", "critical": "error"}.get(method, method)
    return event


def _in_order(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Put the ecosystem's keys first, in its order."""
    return {key: event[key] for key in dict.fromkeys((*_FIRST, *event)) if key in event}


def logfmt(_: WrappedLogger, __: str, event: EventDict) -> str:
    """Write an event as one line of logfmt, as the exporters in Go do: readers give every value back as it was."""
    return " ".join(f"{key}={_logfmt_value(value)}" for key, value in event.items())


def _logfmt_value(value: object) -> str:
    """Write a value, in quotes where it has more than plain characters: names of servers are anybody's text."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
    text = str(value)
    if text.isprintable() and not _QUOTED.intersection(text):
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    # Line separators, escapes of terminals and what turns the writing around.
    return quoted if quoted.isprintable() else "".join(map(_escaped, quoted))


def _escaped(char: str) -> str:
    return char if char.isprintable() else json.dumps(char)[1:-1]


def configure_logs(level: Literal["debug", "info", "warn", "error"], form: Literal["logfmt", "json"]) -> None:
    """Set up the process's logging: our own lines and those of the libraries alike."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        _add_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        structlog.processors.format_exc_info,
        structlog.processors.EventRenamer("msg"),
        _in_order,
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
    renderer: structlog.typing.Processor = structlog.processors.JSONRenderer() if form == "json" else logfmt
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
