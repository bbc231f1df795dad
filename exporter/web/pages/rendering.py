"""Templates to responses: everything escaped, nothing fetched, no script, kept by nobody."""

import base64
import hashlib
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from exporter import __version__
from exporter.views import words


class Renderer:
    """Renders the templates of this package.

    The one style sheet stands in each page, and the policy names it by its hash: whatever else a browser
    is made to believe is style, script or form, it does not run.
    """

    def __init__(self, **common: object) -> None:
        self._environment = Environment(
            loader=PackageLoader("exporter.web.pages"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        # Ours, and safe; as a value it would be escaped.
        style = Markup((files(__package__) / "templates" / "style.css").read_text(encoding="utf-8"))  # noqa: S704 - so
        self._environment.globals.update(common, style=style, version=__version__)
        self._environment.filters.update(
            size=words.size,
            speed=words.speed,
            span=words.span,
            short_span=words.short_span,
            moment=words.moment,
        )
        self._headers = headers(style)

    def page(self, template: str, **values: object) -> web.Response:
        """Give a page."""
        text = self._environment.get_template(template).render(values)
        return web.Response(text=text, content_type="text/html", headers=self._headers)


def headers(style: str) -> Mapping[str, str]:
    """Give the headers of every page whose style sheet is `style`."""
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
