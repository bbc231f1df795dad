"""Families of one snapshot as lines of the text exposition.

The lines are the same in all formats; only the headers of a family differ. Both are byte for byte what
prometheus-client writes for the same families, which tests hold; this is the fast way to the same text.
"""

from collections.abc import Iterable, Iterator
from typing import Final, Literal, TypeAlias

from prometheus_client import Metric

from exporter.families import Family, ServerFamily, SnapshotFamily, full_name, help_text
from exporter.families.family import Value
from exporter.snapshot import Snapshot

Syntax: TypeAlias = Literal["text", "openmetrics"]
"""Text is the Prometheus format 0.0.4 and, the same for our names, 1.0.0; OpenMetrics is 1.0.0."""

_EXPONENT_FROM: Final = 6
# Most samples are flags; 0 is not here, because it equals -0.
_COMMON: Final = {float(number): f"{number}.0" for number in range(1, 101)}
_NO_NUMBERS: Final = {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}


def header(family: Family, syntax: Syntax) -> bytes:
    """Give the HELP and TYPE lines."""
    name = full_name(family)
    if syntax == "text" and family.kind == "counter":
        name += "_total"
    text = _escaped_help(help_text(family), syntax)
    return f"# HELP {name} {text}\n# TYPE {name} {family.kind}\n".encode()


def metrics(collected: Iterable[Metric], syntax: Syntax) -> bytes:
    """Give the exposition of gauges, counters and histograms of a prometheus-client registry.

    A body in OpenMetrics ends behind them, with the line that says so.
    """
    parts = []
    for metric in collected:
        name = f"{metric.name}_total" if syntax == "text" and metric.type == "counter" else metric.name
        parts.append(f"# HELP {name} {_escaped_help(metric.documentation, syntax)}\n# TYPE {name} {metric.type}\n")
        for sample in metric.samples:
            labels = ",".join([f'{label}="{escape(value)}"' for label, value in sorted(sample.labels.items())])
            parts.append(f"{sample.name}{f'{{{labels}}}' if labels else ''} {format_value(sample.value)}\n")
    if syntax == "openmetrics":
        parts.append("# EOF\n")
    return "".join(parts).encode()


def _escaped_help(text: str, syntax: Syntax) -> str:
    escaped = text.replace("\\", r"\\").replace("\n", r"\n")
    return escaped.replace('"', r"\"") if syntax == "openmetrics" else escaped


def lines(family: Family, snapshot: Snapshot) -> bytes:
    """Give the sample lines of the family; empty where it has no sample."""
    return "".join(_lines(family, snapshot)).encode()


def _lines(family: Family, snapshot: Snapshot) -> Iterator[str]:
    if isinstance(family, SnapshotFamily):
        template = _template(family, family.labels, snapshot.account)
        for values, number in family.samples(snapshot):
            yield template % (*map(escape, values), format_value(number))
    elif family.value is not None:
        yield from _value_lines(family, family.value, snapshot)
    else:
        yield from _sample_lines(family, snapshot)


def _value_lines(family: ServerFamily, value: Value, snapshot: Snapshot) -> Iterator[str]:
    """Give the lines of a family with one sample a server: by far the most, so in the fewest steps."""
    head, _, tail = _template(family, ("server_id",), snapshot.account).partition("%s")
    # Of the account's name in a template only percent signs are escaped.
    head, tail = head.replace("%%", "%"), tail.removesuffix("%s\n")
    for server in snapshot.servers:
        if (number := value(server)) is not None:
            yield f"{head}{escape(server.id)}{tail}{format_value(number)}\n"


def _sample_lines(family: ServerFamily, snapshot: Snapshot) -> Iterator[str]:
    labels = sorted((*family.labels, "server_id"))
    place = labels.index("server_id")
    template = _template(family, tuple(labels), snapshot.account)
    samples = family.samples
    for server in snapshot.servers:
        server_id = escape(server.id)
        seen: set[tuple[str, ...]] = set()
        for values, number in samples(server):
            if values not in seen:
                seen.add(values)
                texts = [escape(text) for text in values]
                texts.insert(place, server_id)
                yield template % (*texts, format_value(number))


def _template(family: Family, labels: tuple[str, ...], account: str) -> str:
    """Give a sample line with `%s` for each label value and the number. Labels are sorted by name."""
    name = full_name(family) + ("_total" if family.kind == "counter" else "")
    pairs = {label: f'{label}="%s"' for label in labels}
    pairs["account"] = f'account="{escape(account).replace("%", "%%")}"'
    return f"{name}{{{','.join(pairs[label] for label in sorted(pairs))}}} %s\n"


def escape(value: str) -> str:
    r"""Write a label value with `\`, `"` and line feeds escaped."""
    if "\\" in value or '"' in value or "\n" in value:
        return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return value


def format_value(number: float) -> str:
    """Write a number as Go does: the shortest text that reads back the same, an exponent from 1e+06."""
    if (known := _COMMON.get(number)) is not None:
        return known
    text = repr(float(number))
    point = text.find(".")
    if point > _EXPONENT_FROM and number > 0:
        digits = f"{text[0]}.{text[1:point]}{text[point + 1 :]}".rstrip("0.")
        return f"{digits}e+{point - 1:02d}"
    return _NO_NUMBERS.get(text, text)
