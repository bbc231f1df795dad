import pytest

from exporter.exposition.negotiation import negotiate_encoding, negotiate_format

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", TEXT),
        ("*/*", TEXT),
        (BROWSER, TEXT),
        (PROMETHEUS_2, OPENMETRICS),
        (PROMETHEUS_3, f"{OPENMETRICS}; escaping=allow-utf-8"),
        ("text/plain;version=0.0.4", TEXT),
        ("text/plain;version=1.0.0", "text/plain; version=1.0.0; charset=utf-8"),
        ("text/plain;version=1.0.0;escaping=x", "text/plain; version=1.0.0; charset=utf-8"),
        (
            "text/plain;version=1.0.0;escaping=underscores",
            "text/plain; version=1.0.0; charset=utf-8; escaping=underscores",
        ),
        ("text/plain;version=1.0.0;escaping=values", "text/plain; version=1.0.0; charset=utf-8; escaping=values"),
        ("application/openmetrics-text", OPENMETRICS),
        ("Application/OpenMetrics-Text; Version=1.0.0", OPENMETRICS),
        ("application/openmetrics-text;version=9.9.9,text/plain;q=0.1", TEXT),
        ("application/openmetrics-text;q=0.1,text/plain;version=0.0.4;q=0.2", TEXT),
        ("application/openmetrics-text,text/plain;version=0.0.4", OPENMETRICS),
        ("text/plain;version=0.0.4,application/openmetrics-text", TEXT),
        ("application/openmetrics-text;q=0.001", OPENMETRICS),
        ("application/openmetrics-text;version=0.0.1", OPENMETRICS.replace("1.0.0", "0.0.1")),
        ("application/openmetrics-text;q=0", TEXT),
        ("application/openmetrics-text;q=nonsense", TEXT),
        ("application/openmetrics-text;q=1.5", TEXT),
        ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;q=0.9,*/*;q=0.1", TEXT),
        (";;,,=;q", TEXT),
    ],
)
def test_a_scraper_gets_the_format_with_the_highest_weight(accept: str, content_type: str) -> None:
    assert negotiate_format(accept).content_type == content_type


@pytest.mark.parametrize("accept", ["text/plain;version=1.0.0", "application/openmetrics-text;version=1.0.0"])
def test_an_escaping_that_would_rename_our_metrics_is_not_promised(accept: str) -> None:
    content_type = negotiate_format(f"{accept};escaping=dots").content_type
    assert content_type == negotiate_format(accept).content_type
    assert "escaping" not in content_type


@pytest.mark.parametrize(
    ("accept", "encoding"),
    [
        ("", "identity"),
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
        ("gzip, deflate, br", "gzip"),
        ("gzip;q=0", "identity"),
        ("gzip;q=0.5, identity", "identity"),
        ("gzip;q=0.5, identity;q=0.5", "gzip"),
        ("gzip;q=0.001", "gzip"),
        ("x-gzip", "gzip"),
        ("gzip;q=0, x-gzip, *", "identity"),
        ("x-gzip;q=0, *", "identity"),
        ("*;q=0", "identity"),
        ("gzip;q=1.0, identity; q=0.5, *;q=0", "gzip"),
        ("*", "gzip"),
        ("br, deflate", "identity"),
        ("gzip;q=2", "identity"),
    ],
)
def test_a_scraper_gets_gzip_if_it_prefers_it(accept: str, encoding: str) -> None:
    assert negotiate_encoding(accept) == encoding
