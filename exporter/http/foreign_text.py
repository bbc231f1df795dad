"""Text from outside, cleaned once where it enters: one printable line of bounded length without our secrets."""

import base64
import html
import json
import string
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote, quote_plus

MAX_TEXT_CHARACTERS: Final = 300
MAX_SCANNED_CHARACTERS: Final = 4_000
"""How much of a text is searched for secrets; the rest is dropped."""

MIN_FRAGMENT_CHARACTERS: Final = 12
"""A part of a secret of this length is redacted, too: whoever repeats a request can cut it anywhere."""

MIN_SECRET_CHARACTERS: Final = 4
"""A shorter secret is not redacted: it would be found in every text, and could be guessed anyway."""

REDACTED: Final = "[redacted]"

_MAX_SEARCHED_PARTS: Final = 256
"""Up to so many parts of a text are searched in a secret one by one, which is faster than to take the secret apart."""

_FOLD: Final = str.maketrans(f"{string.ascii_uppercase}-_", f"{string.ascii_lowercase}+/")
"""Makes texts comparable whatever the case of their ASCII letters and their alphabet of base64, at the same length."""


def clean_text(text: str, secrets: Iterable[str] = (), max_characters: int = MAX_TEXT_CHARACTERS) -> str:
    """Return `text` as one printable line without `secrets`.

    Line breaks and other control characters become spaces, so that nobody can forge a log line or send
    escapes to a terminal. A secret is also found as JSON, a URL, HTML, base64 or hexadecimal digits write it, in
    any letter case.
    """
    redacted = redact(text[:MAX_SCANNED_CHARACTERS], secrets)
    printable = "".join(character if character.isprintable() else " " for character in redacted)
    line = " ".join(printable.split())
    return line if len(line) <= max_characters else f"{line[: max_characters - 1]}…"


def redact(text: str, secrets: Iterable[str]) -> str:
    """Return `text` with every secret, and every long part of one, replaced."""
    if len(text) < MIN_SECRET_CHARACTERS:
        return text
    long_enough = {secret for secret in secrets if len(secret) >= MIN_SECRET_CHARACTERS}
    forms = {form.translate(_FOLD) for secret in long_enough for form in _written_forms(secret)}
    folded = text.translate(_FOLD)
    kept: list[str] = []
    copied = 0
    for start, end in sorted(span for form in forms for span in _find_parts(folded, form)):
        if end > copied:
            if start > copied or not kept:
                kept += text[copied:start], REDACTED
            copied = end
    return "".join((*kept, text[copied:]))


def _find_parts(text: str, secret: str) -> Iterator[tuple[int, int]]:
    """Return where `text` has the secret, or a part of it that is long enough to matter, in overlapping pieces."""
    size = min(len(secret), MIN_FRAGMENT_CHARACTERS)
    parts = {text[start : start + size] for start in range(len(text) - size + 1)}
    if len(parts) <= _MAX_SEARCHED_PARTS:
        found = {part for part in parts if part in secret}
    else:
        found = parts.intersection(secret[start : start + size] for start in range(len(secret) - size + 1))
    ends = range(size, len(text) + 1) if found else ()
    return ((end - size, end) for end in ends if text[end - size : end] in found)


def _written_forms(secret: str) -> Iterable[str]:
    """Return the secret as it is and as others write it."""
    yield secret
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    octets = secret.encode("utf-8", "surrogatepass")
    yield quote(octets, safe="")
    yield quote_plus(octets)
    yield html.escape(secret)
    yield octets.hex()
    yield from (_base64_form(octets, before) for before in range(3))


def _base64_form(octets: bytes, before: int) -> str:
    """Return the base64 digits that depend on `octets` alone, if `before` other bytes precede them in their group."""
    encoded = base64.b64encode(bytes(before) + octets).decode()
    return encoded[(before * 8 + 5) // 6 : (before + len(octets)) * 8 // 6]
