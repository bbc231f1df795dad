"""Render templates to responses: everything is escaped, nothing is fetched or cached, no script runs."""

import base64
import hashlib
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from exporter import __version__
from exporter.views.formatting import format_duration, format_latency, format_size, format_speed, format_time


class Renderer:
    """Renders the templates of this package.

    The style sheet is part of each page, and the content security policy allows it by its hash. The browser
    ignores any other style, script or form.
    """

    def __init__(self, **common: object) -> None:
        self._environment = Environment(
            loader=PackageLoader("exporter.web.pages"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        # Our own file, which autoescaping would break.
        style = Markup((files(__package__) / "templates" / "style.css").read_text(encoding="utf-8"))  # noqa: S704
        self._environment.globals.update(common, style=style, version=__version__)
        self._environment.filters.update(
            size=format_size,
            speed=format_speed,
            duration=format_duration,
            latency=format_latency,
            time=format_time,
        )
        self._headers = build_headers(style)

    def render(self, template: str, **values: object) -> web.Response:
        """Return a page as a response."""
        text = self._environment.get_template(template).render(values)
        # A name from the command line or an API header may contain bytes that were not valid UTF-8.
        body = text.encode("utf-8", "replace")
        return web.Response(body=body, content_type="text/html", charset="utf-8", headers=self._headers)


def build_headers(style: str) -> Mapping[str, str]:
    """Return the headers of every page with the style sheet `style`."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = {
        "default-src": "'none'",
        "style-src": f"'sha256-{digest}'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
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
