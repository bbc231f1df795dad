import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from parsing import Labels, parse_samples
from support import GOLDEN


def reference(text: str) -> list[tuple[str, Labels, float]]:
    return [
        (sample.name, frozenset(sample.labels.items()), sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]


def test_the_parser_of_the_tests_reads_an_exposition_as_prometheus_client_does() -> None:
    text = (GOLDEN / "example.txt").read_text(encoding="utf-8")
    samples = list(parse_samples(text))
    assert samples == reference(text)
    assert len(samples) > 300


@given(st.lists(st.text(max_size=8), min_size=2, max_size=2), st.floats(allow_nan=False))
def test_any_label_value_is_read_as_it_was_written(values: list[str], number: float) -> None:
    registry = CollectorRegistry()
    Gauge("name", "Text.", ["one", "other"], registry=registry).labels(*values).set(number)
    ((name, labels, value),) = parse_samples(generate_latest(registry).decode())
    assert (name, dict(labels), value) == ("name", dict(zip(("one", "other"), values, strict=True)), number)


@pytest.mark.parametrize("line", ["name", 'name{a="b" 1', 'name{a="b"c="d"} 1', 'name{a="b",a="c"} 1', "name{} x"])
def test_a_malformed_line_fails_the_test_that_reads_it(line: str) -> None:
    with pytest.raises((AssertionError, ValueError)):
        list(parse_samples(line))
