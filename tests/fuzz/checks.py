"""What holds for every text that the exporter shows, whatever the input was."""

import base64
from urllib.parse import quote

SECRET = "S3cr3t/of+the=fuzzer"
"""Long enough, and unlike anything that the exporter writes itself."""

WRITTEN_FORMS = (
    SECRET,
    SECRET.lower(),
    SECRET.upper(),
    quote(SECRET, safe=""),
    SECRET.encode().hex(),
    base64.b64encode(SECRET.encode()).decode(),
    base64.urlsafe_b64encode(SECRET.encode()).decode(),
)
"""The secret as others write it."""

MARK = b"$S"
"""In an input this stands for the secret, so that the fuzzer need not guess it."""

MAX_LINE_CHARACTERS = 2_000


def check_line(line: str) -> None:
    """Check a line that people read: one printable line of bounded length, without the secret."""
    assert line.isprintable(), line
    assert len(line) <= MAX_LINE_CHARACTERS, len(line)
    check_secret(line)


def check_secret(text: str) -> None:
    """Check that a text does not show the secret in any form."""
    folded = text.lower()
    for form in WRITTEN_FORMS:
        assert form.lower() not in folded, text
