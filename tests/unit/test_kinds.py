"""The kinds of values that fields take."""

import pytest

from exporter.settings import ApiSettings, AuthSettings, PollSettings, WebSettings
from exporter.settings.kinds import describe, placeholder, suggest
from exporter.settings.quantities import Group


@pytest.mark.parametrize(
    ("group", "name", "word", "description"),
    [
        (ApiSettings, "ca_file", "FILE", "the path of a file"),
        (ApiSettings, "concurrency", "NUMBER", "a whole number from 1 to 64"),
        (ApiSettings, "insecure_skip_verify", "", "true or false"),
        (ApiSettings, "paging", "auto|records|pages", "one of auto, records, pages"),
        (ApiSettings, "proxy", "URL", "a URL"),
        (AuthSettings, "token", "SECRET", "text"),
        (PollSettings, "interval", "DURATION", "a duration with its unit, such as 30s, 5m or 1h30m, of 1s or more"),
        (WebSettings, "listen_address", "ADDRESS", "one or more addresses"),
    ],
)
def test_a_field_has_a_placeholder_and_a_description(
    group: type[Group], name: str, word: str, description: str
) -> None:
    field = group.model_fields[name]
    assert (placeholder(field), describe(field)) == (word, description)


@pytest.mark.parametrize(("value", "meant"), [("RECORD", "records"), ("page", "pages"), ("x", None), (5, None)])
def test_the_nearest_choice_is_suggested(value: object, meant: str | None) -> None:
    assert suggest(value, ApiSettings.model_fields["paging"]) == meant
