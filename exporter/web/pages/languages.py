"""The language of a page: what its query chooses, else an earlier choice (a cookie), else what the browser prefers."""

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlencode

from aiohttp import hdrs, web

from exporter.language import LANGUAGES, choose_from_header, match_language

PARAMETER: Final = "lang"
COOKIE: Final = "sms_exporter_language"
COOKIE_SECONDS: Final = 365 * 86_400


def get_language(request: web.Request) -> str:
    """Return the language of the answer. Raise HTTPBadRequest if the query chooses one that does not exist."""
    chosen = request.query.get(PARAMETER)
    if chosen is not None:
        language = match_language(chosen)
        if language is None:
            raise web.HTTPBadRequest(text=f"{PARAMETER}: must be one of {', '.join(LANGUAGES)}.\n")
        return language
    cookie = request.cookies.get(COOKIE, "")
    if cookie in LANGUAGES:
        return cookie
    return choose_from_header(",".join(request.headers.getall(hdrs.ACCEPT_LANGUAGE, ())))


def remember_language(request: web.Request, response: web.Response, language: str, path: str) -> None:
    """Set the cookie for all pages below `path` if the query chooses the language."""
    if PARAMETER in request.query:
        secure = request.secure or None
        response.set_cookie(
            COOKIE, language, path=path, max_age=COOKIE_SECONDS, secure=secure, httponly=True, samesite="Lax"
        )


def other_languages(request: web.Request, language: str) -> Sequence[tuple[str, str, str]]:
    """Return tag, name and query of a link to this page in each other language."""
    query = [(name, value) for name, value in request.query.items() if name != PARAMETER]
    return [(tag, name, urlencode([*query, (PARAMETER, tag)])) for tag, name in LANGUAGES.items() if tag != language]
