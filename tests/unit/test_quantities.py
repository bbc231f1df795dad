from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from exporter.settings.quantities import (
    Group,
    ListenAddress,
    Size,
    UnixAddress,
    check_account_name,
    check_listen_address,
    check_socket_addresses,
    format_duration,
    format_size,
    parse_duration,
    parse_listen_address,
    parse_proxy,
    parse_socket_address,
    parse_url,
    suggest_duration,
)


class Dimensions(Group):
    """A group of options."""

    width: int = 1


def test_the_options_of_a_group_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Dimensions().width = 2  # type: ignore[misc]


@pytest.mark.parametrize("wrong", [{"width": "s3cret"}, {"height": "s3cret"}, "s3cret"])
def test_a_wrong_value_is_not_shown_by_the_library(wrong: object) -> None:
    with pytest.raises(ValidationError) as error:
        Dimensions.model_validate(wrong)
    assert "s3cret" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30), ("5m", 300), ("1h30m", 5400), ("500ms", 0.5), ("1d", 86_400), ("2w", 1_209_600),
        ("1y", 31_536_000), ("0s", 0), ("1m0s", 60), ("90s", 90),
    ],
)  # fmt: skip
def test_a_duration_is_parsed_as_in_prometheus(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "60", "5", "1.5s", "s", "1s1m", "5 m", "-5s", "5M", "9" * 5000 + "s", "\u0663s", 60, None, True]
)
def test_an_invalid_duration_is_an_error(text: object) -> None:
    with pytest.raises(ValueError, match="such as 30s, 5m or 1h30m"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["365d", "52w1d", "8760h"])
def test_a_duration_of_a_year_is_the_longest(text: str) -> None:
    assert parse_duration(text) == 31_536_000
    with pytest.raises(ValueError, match="a duration of at most 365d"):
        parse_duration(f"{text}1ms")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("60", "60s"), ("0", "0s"), ("5 m", "5m"), ("5M", "5m"), ("1H 30M", "1h30m"), (" 5m ", "5m"),
        ("5 min", "5m"), ("5 Minutes", "5m"), ("2 hrs", "2h"), ("1 day", "1d"), ("3 weeks", "3w"), ("1 year", "1y"),
        ("30sec", "30s"), ("500 ms", "500ms"), ("500 msec", "500ms"), ("10 milliseconds", "10ms"),
        ("2 months", None), ("1.5h", None), ("soon", None), ("", None), ("5m", None), ("1s1m", None),
    ],
)  # fmt: skip
def test_a_duration_that_was_probably_meant_is_suggested(text: str, meant: str | None) -> None:
    assert suggest_duration(text) == meant


@pytest.mark.parametrize(
    ("seconds", "text"), [(1_209_600, "14d"), (31_536_000, "365d"), (0.0004, "0s"), (0.0006, "1ms")]
)
def test_a_formatted_duration_has_no_weeks_and_years_and_is_exact_to_the_millisecond(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize("text", ["0s", "30s", "1m", "1h30m", "1d", "500ms", "1d2h3m4s5ms"])
def test_a_formatted_duration_equals_the_parsed_text(text: str) -> None:
    assert format_duration(parse_duration(text)) == text


@pytest.mark.parametrize(
    ("size", "text"), [(2**33, "8GiB"), (8 * 2**20, "8MiB"), (1536, "1536B"), (3 * 2**10, "3KiB"), (10**7, "10000000B")]
)
def test_a_formatted_size_is_exact_and_equals_the_parsed_text(size: int, text: str) -> None:
    assert format_size(size) == text
    assert TypeAdapter(Size).validate_python(text) == size


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (":10058", ListenAddress(None, 10058)),
        ("127.0.0.1:0", ListenAddress("127.0.0.1", 0)),
        ("[::1]:9100", ListenAddress("::1", 9100)),
        ("localhost:65535", ListenAddress("localhost", 65535)),
        ("a.b:1", ListenAddress("a.b", 1)),
    ],
)
def test_a_parsed_listen_address_is_formatted_as_it_was_written(text: str, address: ListenAddress) -> None:
    assert parse_listen_address(text) == address
    assert str(address) == check_listen_address(text) == text


@pytest.mark.parametrize(
    "text",
    ["", "10058", "host", "::1:80", "host:http", "host:65536", "host:-1", "host:", "host:000001", "[::1:80", "::1]:80"],
)
def test_an_invalid_listen_address_is_an_error(text: str) -> None:
    for read in (parse_listen_address, check_listen_address):
        with pytest.raises(ValueError, match="HOST:PORT"):
            read(text)


def test_the_final_slash_of_a_url_is_removed() -> None:
    assert parse_url("https://sms.example.com:8443/base/") == "https://sms.example.com:8443/base"


@pytest.mark.parametrize("text", ["", "sms.example.com", "ftp://x", "https://", "https://x/?a=1", "https://x/#a", 5])
def test_an_invalid_base_url_is_an_error(text: object) -> None:
    with pytest.raises(ValueError, match="https://HOST"):
        parse_url(text)


@pytest.mark.parametrize("url", ["http://host:99999", "http://host:abc", "http://host:0", "http://me:pw@host:x"])
def test_an_invalid_port_in_a_url_is_an_error(url: str) -> None:
    with pytest.raises(ValueError, match="a port from 1 to 65535"):
        parse_proxy(url)


@pytest.mark.parametrize("character", [*"/?#[]\\\n\t", "\uff0f", "\uff1a", "\u2100"])
@pytest.mark.parametrize("url", ["http://user:12{}s3cret@host:80", "http://us{}er:s3cret@host", "http://{}s3cret@host"])
def test_a_special_character_in_the_password_of_a_proxy_has_a_hint_that_does_not_show_it(
    character: str, url: str
) -> None:
    with pytest.raises(ValueError, match="as %XX, such as %23 for #") as error:
        parse_proxy(url.format(character))
    assert "s3cret" not in str(error.value)
    with pytest.raises(ValueError, match="without user and password") as error:
        parse_url(url.format(character))
    assert "s3cret" not in str(error.value)


@pytest.mark.parametrize("character", [*"!\"$%&'()*+,-.:;<=>@^_`{|}~ ", "é", "华"])
def test_any_other_character_in_the_password_of_a_proxy_is_written_as_it_is(character: str) -> None:
    url = f"http://user:s3{character}cret@host:80"
    assert parse_proxy(url) == url


@pytest.mark.parametrize(
    "url", ["http://[::1", "http://ho\\st", "http://ho st", "http://ho\nst", "http://ho\x1bst", "http://]"]
)
def test_a_host_that_no_name_can_be_is_an_error(url: str) -> None:
    with pytest.raises(ValueError, match=r"http://.*HOST"):
        parse_proxy(url)
    with pytest.raises(ValueError, match="https://HOST"):
        parse_url(url)


def test_a_line_break_after_a_url_is_ignored() -> None:
    assert parse_url("https://host/\n") == parse_proxy("https://host/\n") == "https://host"


def test_a_unix_socket_is_formatted_as_it_was_written() -> None:
    assert parse_socket_address("unix:/run/sms.sock") == UnixAddress(Path("/run/sms.sock"))
    assert str(UnixAddress(Path("/run/sms.sock"))) == "unix:/run/sms.sock"
    assert parse_socket_address(":80") == ListenAddress(None, 80)


@pytest.mark.parametrize("character", ["a", "ü"])
def test_the_path_of_a_unix_socket_has_at_most_107_bytes(character: str) -> None:
    characters = 106 // len(character.encode())
    parse_socket_address(f"unix:/{character * characters}")
    with pytest.raises(ValueError, match="at most 107 bytes"):
        parse_socket_address(f"unix:/{character * characters}b" + "b" * (106 % len(character.encode())))


@pytest.mark.parametrize("text", ["unix:", "unix:run/sms.sock"])
def test_the_path_of_a_unix_socket_is_absolute(text: str) -> None:
    with pytest.raises(ValueError, match="absolute path"):
        parse_socket_address(text)


def test_one_or_more_addresses_are_required_and_the_wrong_one_is_named() -> None:
    assert check_socket_addresses((":80", "unix:/run/sms.sock")) == (":80", "unix:/run/sms.sock")
    with pytest.raises(ValueError, match="write one or more addresses"):
        check_socket_addresses(())
    with pytest.raises(ValueError, match="given 'nowhere': write an address"):
        check_socket_addresses((":80", "nowhere"))


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[2J", "a\u2028b", "a\u2029b", "\x00"])
def test_the_name_of_an_account_has_no_line_breaks_and_control_characters(name: str) -> None:
    assert check_account_name("Ä b: 华为") == "Ä b: 华为"
    with pytest.raises(ValueError, match="without control characters"):
        check_account_name(name)


@pytest.mark.parametrize(
    "url", ["https://user@host", "https://user:s3cret@host", "https://:s3cret@host", "https://@host"]
)
def test_only_the_url_of_a_proxy_has_a_user_and_a_password(url: str) -> None:
    assert parse_proxy(f"{url}/") == url
    with pytest.raises(ValueError, match="without user and password") as error:
        parse_url(url)
    assert "s3cret" not in str(error.value)


def test_the_port_of_a_url_may_be_missing_and_is_at_most_65535() -> None:
    for url in ("http://host", "http://host:1", "http://host:65535"):
        assert parse_url(url) == parse_proxy(url) == url
    with pytest.raises(ValueError, match="a port from 1 to 65535"):
        parse_url("http://host:65536")


def test_something_else_than_text_is_no_url() -> None:
    with pytest.raises(ValueError, match=r"^write a URL as https"):
        parse_url(5)
    with pytest.raises(ValueError, match=r"^write the URL of an HTTP proxy"):
        parse_proxy(5)
