"""Families of one snapshot as lines of the text exposition.

The lines are the same in all formats; only the headers of a family differ. Both are byte for byte what
prometheus-client writes for the same families, which tests hold; this is the fast way to the same text.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, Literal, TypeAlias

from prometheus_client import Metric

from exporter.families import (
    Family,
    FamilyOfServers,
    ServerFamily,
    SnapshotFamily,
    SnapshotValueFamily,
    ValueFamily,
    full_name,
    help_text,
)
from exporter.families.family import SERVER_ID, first_of_each, labels_of, value_in
from exporter.polling.snapshot import Snapshot
from exporter.sms.model import SourceServer

Syntax: TypeAlias = Literal["text", "openmetrics"]
"""Text is the Prometheus format 0.0.4 and, the same for our names, 1.0.0; OpenMetrics is 1.0.0."""

_EXPONENT_FROM: Final = 1e6
_FEW_DIGITS: Final = 1e12
"""Below, a number of thousandths has at most 15 digits."""
_EXACT_TO: Final = 2**53
"""Up to here an integer is the same number as a float."""
_EXPONENTS: Final = [f"e+{digits - 1:02d}" for digits in range(len(str(_EXACT_TO)) + 1)]
# Most samples are flags; 0 is not here, because it equals -0.
_COMMON: Final = {float(number): f"{number}.0" for number in range(1, 101)}
_NO_NUMBERS: Final = {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}
_PLACE: Final = "\n"
"""Marks where a server's id goes: escaped text has no line feed."""
_REMEMBERED: Final = 1024
"""Combinations of label values of a family that are written once; most are words of an enumeration."""


def render_header(family: Family, syntax: Syntax) -> bytes:
    """Give the HELP and TYPE lines."""
    name = full_name(family)
    if syntax == "text" and family.kind == "counter":
        name += "_total"
    text = _escaped_help(help_text(family), syntax)
    return f"# HELP {name} {text}\n# TYPE {name} {family.kind}\n".encode()


def render_metrics(collected: Iterable[Metric], syntax: Syntax) -> bytes:
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


Write: TypeAlias = Callable[[Sequence[SourceServer], Sequence[str]], str]
"""Gives the lines of some servers of a snapshot, whose ids are given as they are written."""


def render_lines(family: Family, snapshot: Snapshot) -> bytes:
    """Give all sample lines of the family; empty where it has no sample."""
    if isinstance(family, SnapshotFamily):
        return lines_of_all(family, snapshot)
    return writer(family, snapshot)(snapshot.servers, escaped_ids(snapshot.servers)).encode()


def lines_of_all(family: SnapshotFamily, snapshot: Snapshot) -> bytes:
    """Give the lines of a family of the whole snapshot."""
    pattern = _pattern(family, snapshot.account)
    texts = [f"{pattern % _escaped(values)}{format_value(number)}\n" for values, number in family.samples(snapshot)]
    return "".join(texts).encode()


def writer(family: FamilyOfServers, snapshot: Snapshot) -> Write:
    """Give what writes the family for the servers of the snapshot, some at a time and in their order."""
    if isinstance(family, ServerFamily):
        return _writer_by_labels(family, snapshot)
    return _writer_of_values(family, snapshot)


def escaped_ids(servers: Sequence[SourceServer]) -> Sequence[str]:
    """Give the ids of servers as they are written."""
    return [escape(server.id) for server in servers]


def _writer_of_values(family: ValueFamily | SnapshotValueFamily, snapshot: Snapshot) -> Write:
    """Write at most one line a server: by far the most lines are these, so in the fewest steps."""
    before, after = (_pattern(family, snapshot.account) % ()).split(_PLACE)
    value = value_in(family, snapshot)
    return lambda servers, ids: "".join(
        [
            f"{before}{server_id}{after}{format_value(number)}\n"
            for server_id, number in zip(ids, map(value, servers), strict=True)
            if number is not None
        ],
    )


def _writer_by_labels(family: ServerFamily, snapshot: Snapshot) -> Write:
    before, after = _pattern(family, snapshot.account).split(_PLACE)
    place = sum(label < SERVER_ID for label in family.labels)
    samples = family.samples
    known: dict[tuple[str, ...], tuple[str, str]] = {}

    def write(servers: Sequence[SourceServer], ids: Sequence[str]) -> str:
        texts = []
        for server_id, server in zip(ids, servers, strict=True):
            for values, number in first_of_each(samples(server)):
                around = known.get(values)
                if around is None:
                    escaped = _escaped(values)
                    around = before % escaped[:place], after % escaped[place:]
                    if len(known) < _REMEMBERED:
                        known[values] = around
                texts.append(f"{around[0]}{server_id}{around[1]}{format_value(number)}\n")
        return "".join(texts)

    return write


def _pattern(family: Family, account: str) -> str:
    """Give a line up to its number: labels sorted by name, `%s` for the values of the family's own, in their order.

    _PLACE marks where the id of a server goes.
    """
    name = full_name(family) + ("_total" if family.kind == "counter" else "")
    pairs = dict.fromkeys(labels_of(family), "%s") | {"account": escape(account).replace("%", "%%")}
    if SERVER_ID in pairs:
        pairs[SERVER_ID] = _PLACE
    labels = ",".join([f'{label}="{value}"' for label, value in sorted(pairs.items())])
    return f"{name}{{{labels}}} "


def _escaped(values: tuple[str, ...]) -> tuple[str, ...]:
    text = "".join(values)
    return tuple(map(escape, values)) if "\\" in text or '"' in text or "\n" in text else values


def escape(value: str) -> str:
    r"""Write a label value with `\`, `"` and line feeds escaped."""
    if "\\" in value or '"' in value or "\n" in value:
        return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return value


def format_value(number: float) -> str:
    """Write a number as Go does: the shortest text that reads back the same, an exponent from 1e+06."""
    if number < _EXPONENT_FROM:
        return _COMMON.get(number) or _plain(number)
    if isinstance(number, int):
        if number <= _EXACT_TO:
            digits = str(number)
            return f"{digits[0]}.{digits[1:]}".rstrip("0.") + _EXPONENTS[len(digits)]
    elif number < _FEW_DIGITS and (thousandths := int(number * 1000 + 0.5)) / 1000 == number:
        # A date of the API. No shorter text of at most 15 digits reads back as the same number.
        digits = str(thousandths)
        return f"{digits[0]}.{digits[1:]}".rstrip("0.") + _EXPONENTS[len(digits) - 3]
    text = _plain(number)
    point = text.find(".")
    return f"{text[0]}.{text[1:point]}{text[point + 1 :]}".rstrip("0.") + _EXPONENTS[point] if point > 1 else text


def _plain(number: float) -> str:
    text = repr(float(number))
    return _NO_NUMBERS.get(text, text)
