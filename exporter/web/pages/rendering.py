"""Render templates to responses in the reader's language: everything is escaped, nothing is loaded or cached."""

import base64
import hashlib
from collections.abc import Mapping
from functools import partial
from importlib.resources import files
from types import MappingProxyType
from urllib.parse import quote

from aiohttp import hdrs, web
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from exporter import __version__
from exporter.polling.snapshot import documented
from exporter.sms.model import SOURCE_STATES
from exporter.translation import Translator
from exporter.views.formatting import (
    format_duration,
    format_latency,
    format_number,
    format_percent,
    format_size,
    format_speed,
    format_time,
)
from exporter.views.meanings import find_meaning
from exporter.views.problems import PROBLEM_NAMES
from exporter.web.pages.servers import format_choice


class Renderer:
    """Renders the templates of this package.

    The style sheet and the script are part of each page, and the content security policy allows them by their
    hashes. The browser ignores any other style or script, and sends forms to the exporter only.
    """

    def __init__(self, translators: Mapping[str, Translator], **common: object) -> None:
        style, script = _read_own("style.css"), _read_own("page.js")
        globals_ = {**common, "style": style, "script": script, "version": __version__}
        self._environments = {
            language: _build_environment(translator, globals_) for language, translator in translators.items()
        }
        self._headers = build_headers(style, script)

    def render(self, language: str, template: str, **values: object) -> web.Response:
        """Return a page in a language as a response."""
        text = self._environments[language].get_template(template).render(values)
        # A name from the command line or an API header may contain bytes that were not valid UTF-8.
        body = text.encode("utf-8", "replace")
        headers = {**self._headers, hdrs.CONTENT_LANGUAGE: language}
        return web.Response(body=body, content_type="text/html", charset="utf-8", headers=headers)


def _build_environment(translator: Translator, globals_: Mapping[str, object]) -> Environment:
    environment = Environment(
        loader=PackageLoader("exporter.web.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.install_gettext_translations(translator, newstyle=True)  # type: ignore[attr-defined]  # of the extension
    environment.globals.update(globals_, language=translator.language)
    environment.filters.update(
        size=format_size,
        speed=format_speed,
        duration=partial(format_duration, translator=translator),
        latency=partial(format_latency, translator=translator),
        percent=partial(format_percent, translator=translator),
        time=format_time,
        number=format_number,
        translate=translator.translate,
        meaning=partial(find_meaning, translator=translator),
        choice=partial(format_choice, translator=translator),
        path_segment=partial(quote, safe=""),
        problem_name=PROBLEM_NAMES.__getitem__,
        documented_state=partial(documented, enumeration=SOURCE_STATES),
    )
    return environment


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
            "Vary": "Accept-Language, Cookie",
        },
    )
