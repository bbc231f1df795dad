import pytest

from exporter.settings.quantities import (
    ListenAddress,
    format_duration,
    parse_duration,
    parse_listen_address,
    parse_proxy,
    parse_url,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30), ("5m", 300), ("1h30m", 5400), ("500ms", 0.5), ("1d", 86_400), ("2w", 1_209_600),
        ("1y", 31_536_000), ("0s", 0), ("1m0s", 60), ("90s", 90),
    ],
)  # fmt: skip
def test_a_duration_is_parsed_as_in_prometheus(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "60", "5", "1.5s", "s", "1s1m", "5 m", "-5s", "5M", 60, None, True])
def test_an_invalid_duration_is_an_error(text: object) -> None:
    with pytest.raises(ValueError, match="such as 30s, 5m or 1h30m"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["0s", "30s", "1m", "1h30m", "1d", "500ms", "1d2h3m4s5ms"])
def test_a_formatted_duration_equals_the_parsed_text(text: str) -> None:
    assert format_duration(parse_duration(text)) == text


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (":10058", ListenAddress(None, 10058)),
        ("127.0.0.1:0", ListenAddress("127.0.0.1", 0)),
        ("[::1]:9100", ListenAddress("::1", 9100)),
        ("localhost:65535", ListenAddress("localhost", 65535)),
    ],
)
def test_a_parsed_listen_address_is_formatted_as_it_was_written(text: str, address: ListenAddress) -> None:
    assert parse_listen_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize("text", ["", "10058", "host", "::1:80", "host:http", "host:65536", "host:-1", "host:"])
def test_an_invalid_listen_address_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        parse_listen_address(text)


def test_the_final_slash_of_a_url_is_removed() -> None:
    assert parse_url("https://sms.example.com:8443/base/") == "https://sms.example.com:8443/base"


@pytest.mark.parametrize("text", ["", "sms.example.com", "ftp://x", "https://", "https://x/?a=1", "https://x/#a", 5])
def test_an_invalid_base_url_is_an_error(text: object) -> None:
    with pytest.raises(ValueError, match="https://HOST"):
        parse_url(text)


@pytest.mark.parametrize("url", ["http://host:99999", "http://host:abc", "http://host:0", "http://me:a/b@host:80"])
def test_an_invalid_port_in_a_url_is_an_error(url: str) -> None:
    with pytest.raises(ValueError, match="a port from 1 to 65535"):
        parse_proxy(url)
