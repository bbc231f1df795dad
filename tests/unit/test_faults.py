"""Validation errors in our own words."""

import pytest
from pydantic import ValidationError

from exporter.errors import ConfigurationError, mask_credentials
from exporter.settings import AuthSettings, Settings
from exporter.settings.document import Location
from exporter.settings.faults import MAX_LINES, MAX_SHOWN_CHARACTERS, format_location, show, validate


def errors_of(content: object) -> tuple[str, ...]:
    """Return the lines for the errors of a configuration, each with its location as its source."""

    def source(location: Location) -> str:
        return format_location(location)

    with pytest.raises(ConfigurationError) as error:
        validate(lambda: Settings.model_validate(content), Settings, source)
    return tuple(error.value.lines)


def test_the_librarys_own_error_names_the_fields_that_do_not_fit_together() -> None:
    with pytest.raises(ValidationError, match=r"password requires user_name"):
        AuthSettings.model_validate({"password": "s3cret"})


@pytest.mark.parametrize(("errors", "last"), [(MAX_LINES, "api.x19: "), (MAX_LINES + 2, "and 2 more errors")])
def test_of_many_errors_the_first_are_shown_and_the_others_counted(errors: int, last: str) -> None:
    lines = errors_of({"api": {f"x{number}": 1 for number in range(errors)}})
    assert len(lines) == min(errors, MAX_LINES + 1)
    assert lines[-1].startswith(last)


def test_a_long_value_is_shortened() -> None:
    longest = "x" * (MAX_SHOWN_CHARACTERS - len("''"))
    assert show(longest) == f"'{longest}'"
    assert show(f"{longest}y") == f"'{longest}y…"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://h/?key=s3cret", "https://h/?<secret>"),
        ("https://h/#s3cret", "https://h/#<secret>"),
        ("https://h/x y?a=1&key=s3cret#s3cret", "https://h/x y?<secret>"),
        ("https://h/\n?key=s3cret", "https://h/\n?<secret>"),
        ("h?key=s3cret", "h?<secret>"),
        ("https://user:s3cret@h/?key=s3cret", "https://<secret>@h/?<secret>"),
        ("x\nhttps://user:s3cret@h/", "<secret>@h/"),
        ("https://user:1#s3cret@h", "https://<secret>"),
        ("https://h/?mail=a@b&key=s3cret", "https://<secret>"),
        ("https://h/path", "https://h/path"),
        ("https://h/?", "https://h/?"),
        ("shop #2", "shop #2"),
    ],
)
def test_the_parts_of_a_url_that_can_be_secret_are_masked(text: str, shown: str) -> None:
    assert mask_credentials(text) == shown


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        ({"api.region": "x"}, "api.region: no such key; write api: {region: …}"),
        ({"api.area": "x"}, "api.area: no such key; the keys here are "),
        ({"apis.region": "x"}, "apis.region: no such key; "),
        ({"api": {"region.x": "x"}}, "api.region.x: no such key; did you mean api.region?"),
    ],
)
def test_a_key_with_a_dot_is_explained_if_the_group_and_the_key_exist(content: object, hint: str) -> None:
    (line,) = errors_of(content)
    assert line.startswith(hint)
    assert hint.endswith("}") or "write" not in line
