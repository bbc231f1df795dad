"""The access log: one line a request, at debug, and of no header."""

import logging
from typing import Final

import structlog
from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

NAME: Final = "exporter.web.access"

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(NAME)


class AccessLogger(AbstractAccessLogger):
    """Writes our lines where aiohttp would write its own; where debug is off, it is asked for none."""

    @property
    def enabled(self) -> bool:
        """Whether anybody reads it."""
        return logging.getLogger(NAME).isEnabledFor(logging.DEBUG)

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        """Write a line; `time` is seconds."""
        log.debug(
            "request",
            method=request.method,
            path=request.path,
            status=response.status,
            bytes=response.body_length,
            duration=round(time, 6),
            client=request.remote or "",
        )
