"""Log lines as programs read them."""

import json
import logging
import re
from collections.abc import Iterator, Mapping

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from exporter.logs import configure_logs, logfmt

PAIR = re.compile(r'([^\s=]+)=("(?:[^"\\]|\\.)*"|[^\s"]*)(?: |$)')


def read_logfmt(line: str) -> dict[str, str]:
    """Read a line as the libraries in Go do: a quoted value has JSON's escapes."""
    pairs = PAIR.findall(line)
    assert "".join(f"{key}={value} " for key, value in pairs)[:-1] == line
    return {key: json.loads(value) if value.startswith('"') else value for key, value in pairs}


@pytest.fixture
def _configuration_of_its_own() -> Iterator[None]:
    root = logging.getLogger()
    before = (root.handlers, root.level)
    yield
    root.handlers, root.level = before
    structlog.reset_defaults()


@given(st.dictionaries(st.from_regex(r"[a-z_]+", fullmatch=True), st.text(st.characters(exclude_categories=["Cs"]))))
def test_every_value_is_read_back_from_logfmt_and_the_line_is_one(event: dict[str, str]) -> None:
    line = logfmt(None, "info", dict(event))
    assert read_logfmt(line) == event
    assert line.isprintable()


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("plain", "plain"),
        ("C:\\dir", "C:\\dir"),
        ("", ""),
        ("two words", '"two words"'),
        ("a=b", '"a=b"'),
        ('say "no"', r'"say \"no\""'),
        ("a\nb", r'"a\nb"'),
        ("\x1b[2J", r'"\u001b[2J"'),
        ("\u202eevil\u2028", r'"\u202eevil\u2028"'),
        ("Größe🚚", "Größe🚚"),
        ("\ud800", r'"\ud800"'),
        (None, "null"),
        (True, "true"),
        (1.5, "1.5"),
        (ValueError("a\tb"), r'"a\tb"'),
    ],
)
def test_a_value_is_written_as_the_exporters_in_go_do(value: object, written: str) -> None:
    assert logfmt(None, "info", {"key": value}) == f"key={written}"


@pytest.mark.usefixtures("_configuration_of_its_own")
@pytest.mark.parametrize("form", ["logfmt", "json"])
def test_a_line_has_the_ecosystems_keys_first_and_an_exception_is_part_of_it(
    form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs("info", "json" if form == "json" else "logfmt")
    ours, others = structlog.stdlib.get_logger("exporter.polling.poller"), logging.getLogger("aiohttp.server")
    try:
        int("first\nsecond \x1b[2J")
    except ValueError:
        ours.exception("it broke", account="north\neast", servers=3)
        others.exception("error %s", "handling")
    ours.warning("mind this")
    ours.debug("not asked for")
    lines = capsys.readouterr().err.splitlines()
    read: list[Mapping[str, object]] = [json.loads(line) if form == "json" else read_logfmt(line) for line in lines]
    assert [list(line)[:4] for line in read] == [["ts", "level", "logger", "msg"]] * 3
    assert [(line["level"], line["logger"], line["msg"]) for line in read] == [
        ("error", "exporter.polling.poller", "it broke"),
        ("error", "aiohttp.server", "error handling"),
        ("warn", "exporter.polling.poller", "mind this"),
    ]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", str(line["ts"])) for line in read)
    assert all(line.isprintable() for line in lines)
    assert read[0]["account"] == "north\neast"
    assert str(read[0]["servers"]) == "3"
    for line in read[:2]:
        assert str(line["exception"]).startswith("Traceback (most recent call last):\n")
        assert str(line["exception"]).endswith(r"'first\nsecond \x1b[2J'")
