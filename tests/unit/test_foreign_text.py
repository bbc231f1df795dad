"""Text from outside on its way into logs and pages."""

import base64
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.http.foreign_text import (
    MAX_SCANNED_CHARACTERS,
    MAX_TEXT_CHARACTERS,
    MIN_FRAGMENT_CHARACTERS,
    REDACTED,
    clean_text,
)

TOKEN = base64.b64encode(bytes(range(256)) * 4).decode()
PASSWORD = 'p"ä&s w0rd'


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("plain", "plain"),
        ("two\nlines\r\n", "two lines"),
        ("\x1b[31mred\x1b[0m", "[31mred [0m"),
        ("a\x00b\u202ec\u2028d", "a b c d"),
        ("\udc80invalid", "invalid"),
        ("Größe 漢字", "Größe 漢字"),
        ("", ""),
    ],
)
def test_text_becomes_one_printable_line(text: str, cleaned: str) -> None:
    assert clean_text(text) == cleaned


@given(st.text(st.characters()))
def test_any_text_becomes_short_and_printable(text: str) -> None:
    cleaned = clean_text(text)
    assert cleaned.isprintable()
    assert len(cleaned) <= MAX_TEXT_CHARACTERS
    cleaned.encode()


@pytest.mark.parametrize(
    "written",
    [
        PASSWORD,
        json.dumps({"password": PASSWORD}),
        json.dumps({"password": PASSWORD}, ensure_ascii=False),
        f"password={quote(PASSWORD)}",
        "<p>p&quot;ä&amp;s w0rd</p>",
    ],
)
def test_a_secret_is_redacted_however_it_is_written(written: str) -> None:
    cleaned = clean_text(f"request was {written}.", [PASSWORD])
    assert REDACTED in cleaned
    assert "w0rd" not in cleaned


@pytest.mark.parametrize("prefix", ["", "u", "us", "us:", "X-Auth-Token: "])
@pytest.mark.parametrize("secret", [PASSWORD, "s3cr", "??>>~~\xff\xfe?", TOKEN])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_secret_is_redacted_in_base64_whatever_precedes_it(
    encode: Callable[[bytes], bytes], secret: str, prefix: str
) -> None:
    cleaned = clean_text(encode(f"{prefix}{secret}".encode()).decode(), [secret])
    kept = cleaned.replace(REDACTED, "")
    assert REDACTED in cleaned
    # What is left are the digits of the prefix, and a digit with bits of the last byte before the padding.
    assert len(kept.rstrip("=")) <= len(prefix) * 4 / 3 + 2


@pytest.mark.parametrize(
    "written",
    [
        PASSWORD.encode().hex(),
        PASSWORD.encode().hex().upper(),
        quote(PASSWORD, safe="").lower(),
        quote_plus(PASSWORD),
        "S3CR3T WORD",
        "S3cr3t word",
        json.dumps(PASSWORD)[1:-1].replace("e4", "E4"),
    ],
)
def test_a_secret_is_redacted_in_other_digits_and_letter_case(written: str) -> None:
    assert clean_text(f"it was {written}.", [PASSWORD, "s3cr3t Word"]) == f"it was {REDACTED}."


@given(st.integers(0, len(TOKEN) - MIN_FRAGMENT_CHARACTERS), st.integers(MIN_FRAGMENT_CHARACTERS, len(TOKEN)))
def test_a_part_of_a_secret_is_redacted(start: int, length: int) -> None:
    part = TOKEN[start : start + length]
    assert clean_text(f"X-Auth-Token: {part}", [TOKEN]) == f"X-Auth-Token: {REDACTED}"


def test_words_that_a_secret_contains_by_chance_stay() -> None:
    assert clean_text("the access key is wrong", ["access"]) == f"the {REDACTED} key is wrong"
    assert clean_text("a b c", ["a"]) == "a b c"


def test_a_secret_at_the_end_of_a_long_text_is_not_cut_out_of_the_search() -> None:
    text = "x" * (MAX_TEXT_CHARACTERS - 40) + TOKEN
    assert TOKEN[:MIN_FRAGMENT_CHARACTERS] not in clean_text(text, [TOKEN])


@pytest.mark.parametrize(("characters", "end"), [(MAX_TEXT_CHARACTERS, "x"), (MAX_TEXT_CHARACTERS + 1, "…")])
def test_a_text_that_is_too_long_ends_with_an_ellipsis(characters: int, end: str) -> None:
    cleaned = clean_text("x" * characters)
    assert cleaned == "x" * (MAX_TEXT_CHARACTERS - 1) + end
    assert clean_text("12345", max_characters=4) == "123…"


@pytest.mark.parametrize(
    ("text", "secrets", "cleaned"),
    [
        ("abcd", ["abcd"], REDACTED),
        ("abc", ["abc"], "abc"),
        ("abcd efgh", ["abcd", "efgh"], f"{REDACTED} {REDACTED}"),
        ("abcdefgh", ["abcd", "efgh"], REDACTED),
        ("abcdef", ["abcd", "cdef"], REDACTED),
        ("xabcdy", ["abcd"], f"x{REDACTED}y"),
        ("abcdabcd.abcd", ["abcd"], f"{REDACTED}.{REDACTED}"),
        (TOKEN[30 : 30 + MIN_FRAGMENT_CHARACTERS], [TOKEN], REDACTED),
        (TOKEN[30 : 29 + MIN_FRAGMENT_CHARACTERS], [TOKEN], TOKEN[30 : 29 + MIN_FRAGMENT_CHARACTERS]),
    ],
)
def test_each_place_of_a_secret_is_redacted_once(text: str, secrets: list[str], cleaned: str) -> None:
    assert clean_text(text, secrets) == cleaned


def test_a_secret_behind_the_text_that_is_searched_is_not_kept() -> None:
    text = " " * MAX_SCANNED_CHARACTERS + PASSWORD
    assert clean_text(f"start{text}", [PASSWORD]) == "start"
    assert clean_text(text, [PASSWORD]) == ""


@pytest.mark.parametrize(
    ("prefix", "cleaned"), [("", f"{REDACTED}g=="), ("u", f"dX{REDACTED}I="), ("us", f"dXN{REDACTED}")]
)
def test_all_digits_of_base64_that_depend_on_a_secret_alone_are_redacted(prefix: str, cleaned: str) -> None:
    assert clean_text(base64.b64encode(f"{prefix}s3cr".encode()).decode(), ["s3cr"]) == cleaned
