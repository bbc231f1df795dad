"""Targets: what clients of the exporter send, and what they receive."""

import json
import math
import re

from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families
from yarl import URL

from exporter.exposition.negotiation import TEXT, negotiate_encoding, negotiate_format
from exporter.exposition.text import render_header, render_lines
from exporter.families.servers import SERVERS
from exporter.language import LANGUAGES, choose_from_header
from exporter.sms.endpoints import SOURCE_SERVERS
from exporter.views.selection import SORTS
from exporter.web.pages.query import (
    MAX_PAGE,
    MAX_REFRESH_SECONDS,
    format_server_query,
    parse_page,
    parse_refresh,
    parse_server_query,
)
from fuzz.api import get_records
from fuzz.choices import Choices
from support import snapshot

CONTENT_TYPE = re.compile(
    r"(text/plain; version=(0\.0\.4|1\.0\.0)|application/openmetrics-text; version=(1\.0\.0|0\.0\.1)); charset=utf-8"
    r"(; escaping=(allow-utf-8|underscores|values))?"
)


def negotiation(data: bytes) -> None:
    """Negotiate format and encoding. Repetition, white space and letter case do not change the result."""
    header = data.decode("latin-1")
    chosen, encoding = negotiate_format(header), negotiate_encoding(header)
    assert CONTENT_TYPE.fullmatch(chosen.content_type)
    assert chosen.syntax == ("openmetrics" if "openmetrics" in chosen.content_type else "text")
    assert negotiate_format(f"{header},{header}") == chosen
    assert negotiate_format(header.replace(",", " , ").replace(";", " ; ")) == chosen
    assert negotiate_encoding(f" , {header}") == encoding
    assert negotiate_encoding(f"{header},{header}") == encoding
    lower = header.lower()
    if encoding == "gzip":
        assert "gzip" in lower or "*" in lower
    if "openmetrics" not in lower and "1.0.0" not in lower:
        assert chosen == TEXT
    assert negotiate_encoding(f"{header},gzip;q=0") == "identity"
    assert choose_from_header(header) in LANGUAGES
    if "q" not in lower:
        assert negotiate_format(f"application/openmetrics-text,{header}").syntax == "openmetrics"


def queries(data: bytes) -> None:
    """Parse the query of a page. A link with the same query selects the same servers."""
    query = URL(f"/servers?{data.decode('latin-1')}").query
    try:
        number, refresh = parse_page(query), parse_refresh(query, 15)
        parsed = parse_server_query(query, {})
    except web.HTTPBadRequest as error:
        check_message(error.text)
        return
    assert 1 <= number <= MAX_PAGE
    assert refresh is None or 1 <= refresh <= MAX_REFRESH_SECONDS
    assert parsed.sort in SORTS
    link = format_server_query(parsed, page=number)
    again = URL(f"/servers?{link}", encoded=True).query
    assert parse_server_query(again, {}) == parsed
    assert parse_page(again) == number


def check_message(text: str | None) -> None:
    """Check the text of an error response: one printable line."""
    assert text is not None
    assert text.endswith(".\n")
    assert text.removesuffix("\n").isprintable()


def expositions(data: bytes) -> None:
    """Render the metrics of a page of servers. prometheus-client must read what the records have."""
    choices = Choices(data)
    records = []
    for number in range(choices.number(2) + 1):
        name = choices.text(choices.number(40))
        size = choices.octets(8)
        records.append(
            {"id": f"{number}{name}", "name": name, "state": choices.text(6), "totalsize": int.from_bytes(size)}
        )
    body = json.dumps({"count": len(records), "source_servers": records}).encode()
    decoder = get_records(SOURCE_SERVERS)
    page = decoder.page(body).records
    for _ in range(2):
        decoder.list_ended()
    current = snapshot(*page)
    family = choices.one_of(SERVERS.families)
    text = (render_header(family, "text") + render_lines(family, current)).decode()
    samples = [sample for parsed in text_string_to_metric_families(text) for sample in parsed.samples]
    assert {sample.labels["server_id"] for sample in samples} <= {server.id for server in page}
    assert all(not math.isinf(sample.value) for sample in samples)
    assert {sample.labels["name"] for sample in samples if "name" in sample.labels} <= {server.name for server in page}
