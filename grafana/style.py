"""Common style of all dashboards: state colours, thresholds, and value mappings."""

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.models import dashboard

from exporter.polling.snapshot import OTHER
from exporter.sms.model import MIGRATION_CYCLES, SOURCE_STATES

GREEN: Final = "#56A64B"
ORANGE: Final = "#FF9830"
RED: Final = "#E02F44"
BLUE: Final = "#3274D9"
GREY: Final = "#8E8E8E"

STATE_COLOURS: Final[Mapping[str, str]] = {
    "unavailable": "#7A5195",
    "waiting": GREY,
    "initialize": "#C0A8F0",
    "replicate": BLUE,
    "syncing": "#20C5D6",
    "stopping": "#E0B400",
    "stopped": ORANGE,
    "skipping": "#B8A965",
    "deleting": "#8F6B4A",
    "clearing": "#A5C882",
    "cleared": "#46785A",
    "clearfailed": "#D9518B",
    "premigready": "#9BD3F5",
    "premiged": "#1F60C4",
    "premigfailed": "#FA6400",
    "cloning": "#6C5CE7",
    "cutovering": "#FADE2A",
    "finished": GREEN,
    "error": RED,
    OTHER: "#5A5A5A",
}
CYCLE_COLOURS: Final[Mapping[str, str]] = {
    "checking": STATE_COLOURS["waiting"],
    "setting": STATE_COLOURS["initialize"],
    "replicating": STATE_COLOURS["replicate"],
    "syncing": STATE_COLOURS["syncing"],
    "cutovering": STATE_COLOURS["cutovering"],
    "cutovered": STATE_COLOURS["finished"],
    OTHER: STATE_COLOURS[OTHER],
}
RESULT_COLOURS: Final[Mapping[str, str]] = {"OK": GREEN, "WARN": ORANGE, "ERROR": RED}

VERDICT_COLOURS: Final[Mapping[str, str]] = {
    "not_synchronizing": GREY,
    "lagging": ORANGE,
    "disconnected": RED,
    "check_failed": RED,
    "inconsistent": RED,
    "no_drill": ORANGE,
    "ready": GREEN,
    "launching": BLUE,
    "launched": GREEN,
}

SEVERITY_COLOURS: Final[Mapping[str, str]] = {"critical": RED, "warning": ORANGE}

STATES: Final = (*SOURCE_STATES, OTHER)
CYCLES: Final = (*MIGRATION_CYCLES, OTHER)

Steps: TypeAlias = Sequence[tuple[float | None, str]]
"""Lower bounds and their colours; the first bound is None."""

NEUTRAL: Final[Steps] = ((None, BLUE),)
WARN_ABOVE_ZERO: Final[Steps] = ((None, GREEN), (1, ORANGE))
BAD_ABOVE_ZERO: Final[Steps] = ((None, GREEN), (1, RED))
INTERVALS: Final[Steps] = ((None, GREEN), (2, ORANGE), (3, RED))
"""Thresholds for the age of data in poll intervals."""
SHARE: Final[Steps] = ((None, ORANGE), (0.5, BLUE), (1, GREEN))

Text: TypeAlias = tuple[str, str]
"""A text and its colour."""

ENDLESS: Final = 1e10
"""Remaining seconds of a server without progress; over 300 years, larger than any estimate."""


def thresholds(steps: Steps) -> ThresholdsConfig:
    """Build absolute thresholds."""
    return (
        ThresholdsConfig()
        .mode(dashboard.ThresholdsMode.ABSOLUTE)
        .steps([dashboard.Threshold(value=value, color=colour) for value, colour in steps])
    )


def words(texts: Mapping[str, Text]) -> list[dashboard.ValueMapping]:
    """Map values, written as text, to texts and colours."""
    results = {
        value: dashboard.ValueMappingResult(text=text, color=colour, index=index)
        for index, (value, (text, colour)) in enumerate(texts.items())
    }
    return [dashboard.ValueMap(options=results)]


def present(text: str, colour: str) -> list[dashboard.ValueMapping]:
    """Map 1 to a text in its colour."""
    return words({"1": (text, colour)})


def coloured(colours: Mapping[str, str]) -> list[dashboard.ValueMapping]:
    """Map texts to themselves in their colours."""
    return words({word: (word, colour) for word, colour in colours.items()})


def missing(text: str, colour: str = GREY) -> list[dashboard.ValueMapping]:
    """Map null and NaN to a text in its colour."""
    result = dashboard.ValueMappingResult(text=text, color=colour)
    options = dashboard.DashboardSpecialValueMapOptions(match=dashboard.SpecialValueMatch.NULL_AND_NAN, result=result)
    return [dashboard.SpecialValueMap(options=options)]


def endless(text: str) -> list[dashboard.ValueMapping]:
    """Map ENDLESS to a text."""
    result = dashboard.ValueMappingResult(text=text, color=RED)
    options = dashboard.DashboardRangeMapOptions(from_val=ENDLESS / 2, to=ENDLESS * 2, result=result)
    return [dashboard.RangeMap(options=options)]


YES_NO: Final = words({"1": ("yes", GREEN), "0": ("no", GREY)})
CONNECTED: Final = words({"1": ("connected", GREEN), "0": ("disconnected", RED)})
