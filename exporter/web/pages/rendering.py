"""Render templates to responses: everything is escaped, nothing is loaded from other hosts or cached."""

import base64
import hashlib
from collections.abc import Mapping
from functools import partial
from importlib.resources import files
from types import MappingProxyType
from urllib.parse import quote

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from exporter import __version__
from exporter.polling.snapshot import documented
from exporter.sms.model import SOURCE_STATES
from exporter.views.formatting import (
    format_duration,
    format_latency,
    format_number,
    format_size,
    format_speed,
    format_time,
)
from exporter.web.pages.servers import PROBLEM_NAMES


class Renderer:
    """Renders the templates of this package.

    The style sheet and the script are part of each page, and the content security policy allows them by their
    hashes. The browser ignores any other style or script, and sends forms to the exporter only.
    """

    def __init__(self, **common: object) -> None:
        self._environment = Environment(
            loader=PackageLoader("exporter.web.pages"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        style, script = _read_own("style.css"), _read_own("page.js")
        self._environment.globals.update(common, style=style, script=script, version=__version__)
        self._environment.filters.update(
            size=format_size,
            speed=format_speed,
            duration=format_duration,
            latency=format_latency,
            time=format_time,
            number=format_number,
            path_segment=partial(quote, safe=""),
            problem_name=PROBLEM_NAMES.__getitem__,
            documented_state=partial(documented, enumeration=SOURCE_STATES),
        )
        self._headers = build_headers(style, script)

    def render(self, template: str, **values: object) -> web.Response:
        """Return a page as a response."""
        text = self._environment.get_template(template).render(values)
        # A name from the command line or an API header may contain bytes that were not valid UTF-8.
        body = text.encode("utf-8", "replace")
        return web.Response(body=body, content_type="text/html", charset="utf-8", headers=self._headers)


def _read_own(name: str) -> Markup:
    """Return a file of this package, which autoescaping would break."""
    return Markup((files(__package__) / "templates" / name).read_text(encoding="utf-8"))  # noqa: S704


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def build_headers(style: str, script: str) -> Mapping[str, str]:
    """Return the headers of every page with this style sheet and script."""
    policy = {
        "default-src": "'none'",
        "style-src": _digest(style),
        "script-src": _digest(script),
        "connect-src": "'self'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
    }
    return MappingProxyType(
        {
            "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
        },
    )
