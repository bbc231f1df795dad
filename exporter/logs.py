"""Log lines on standard error, as logfmt or JSON, with the keys that Go exporters use: ts, level, logger, msg."""

import contextlib
import json
import logging
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Final, Literal, cast


@contextlib.contextmanager
def _hidden(package: str) -> Iterator[None]:
    """Let imports inside the context find that a package is not installed, unless it is imported already."""
    if package in sys.modules:
        yield
        return
    sys.modules[package] = cast("ModuleType", None)  # As the documentation of sys.modules describes.
    try:
        yield
    finally:
        del sys.modules[package]


# If rich is installed, structlog imports it for a renderer that is not used here: 60 ms and 3 MB in every process.
with _hidden("rich"):
    import structlog
    from structlog.contextvars import bind_contextvars
    from structlog.typing import EventDict, WrappedLogger

__all__ = ["bind_contextvars", "configure_logs", "get_logger", "logfmt"]

_FIRST_KEYS: Final = ("ts", "level", "logger", "msg")
_CHARACTERS_TO_QUOTE: Final = frozenset(' ="')


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of a module."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def _add_level(_: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Add the level by the name that the options use: warn, not warning."""
    event["level"] = {"warning": "warn", "exception": "error", "critical": "error"}.get(method, method)
    return event


def _order_keys(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Put the common keys first, in their usual order."""
    return {key: event[key] for key in dict.fromkeys((*_FIRST_KEYS, *event)) if key in event}


def logfmt(_: WrappedLogger, __: str, event: EventDict) -> str:
    """Render an event as one line of logfmt, as Go exporters do; a parser gets every value back unchanged."""
    return " ".join(f"{key}={_logfmt_value(value)}" for key, value in event.items())


def _logfmt_value(value: object) -> str:
    """Render a value, in quotes if it has more than plain characters. Names of servers can contain anything."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
    text = str(value)
    if text.isprintable() and not _CHARACTERS_TO_QUOTE.intersection(text):
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    # Line separators, terminal escapes and characters that change the writing direction.
    return quoted if quoted.isprintable() else "".join(map(_escape, quoted))


def _escape(char: str) -> str:
    return char if char.isprintable() else json.dumps(char)[1:-1]


def configure_logs(level: Literal["debug", "info", "warn", "error"], form: Literal["logfmt", "json"]) -> None:
    """Set up logging of the process: our own lines and those of the libraries in the same format."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        _add_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        structlog.processors.format_exc_info,
        structlog.processors.EventRenamer("msg"),
        _order_keys,
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
