"""Families of one snapshot as lines of the text exposition.

The lines are the same in all formats; only the headers of a family differ. Both are byte for byte what
prometheus-client writes for the same families, which tests hold; this is the fast way to the same text.
"""

from collections.abc import Iterator
from typing import Final, Literal, TypeAlias

from exporter.families import Family, SnapshotFamily, full_name, help_text
from exporter.snapshot import Snapshot

Syntax: TypeAlias = Literal["text", "openmetrics"]
"""Text is the Prometheus format 0.0.4 and, the same for our names, 1.0.0; OpenMetrics is 1.0.0."""

_EXPONENT_FROM: Final = 6
_NO_NUMBERS: Final = {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}


def header(family: Family, syntax: Syntax) -> bytes:
    """Give the HELP and TYPE lines."""
    name = full_name(family)
    text = help_text(family).replace("\\", r"\\").replace("\n", r"\n")
    if syntax == "openmetrics":
        text = text.replace('"', r"\"")
    elif family.kind == "counter":
        name += "_total"
    return f"# HELP {name} {text}\n# TYPE {name} {family.kind}\n".encode()


def lines(family: Family, snapshot: Snapshot) -> bytes:
    """Give the sample lines of the family; empty where it has no sample."""
    return "".join(_lines(family, snapshot)).encode()


def _lines(family: Family, snapshot: Snapshot) -> Iterator[str]:
    if isinstance(family, SnapshotFamily):
        template = _template(family, family.labels, snapshot.account)
        for values, number in family.samples(snapshot):
            yield template % (*map(escape, values), format_value(number))
        return
    labels = sorted((*family.labels, "server_id"))
    place = labels.index("server_id")
    template = _template(family, tuple(labels), snapshot.account)
    samples = family.samples
    for server in snapshot.servers:
        seen: set[tuple[str, ...]] = set()
        for values, number in samples(server):
            if not values:
                yield template % (escape(server.id), format_value(number))
            elif values not in seen:
                seen.add(values)
                texts = [escape(value) for value in values]
                texts.insert(place, escape(server.id))
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
    text = repr(float(number))
    point = text.find(".")
    if point > _EXPONENT_FROM and number > 0:
        digits = f"{text[0]}.{text[1:point]}{text[point + 1 :]}".rstrip("0.")
        return f"{digits}e+{point - 1:02d}"
    return _NO_NUMBERS.get(text, text)
