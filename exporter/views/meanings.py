"""What values of the API mean, in languages other than English.

Pages and terminal show the value itself, because queries, filters and the API use it, and its meaning beside it.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from exporter.sms.details import SUBTASKS
from exporter.sms.model import (
    CHECK_RESULTS,
    CLONE_STATES,
    DEVICE_USES,
    LOG_COLLECT_STATUSES,
    MIGRATION_CYCLES,
    SOURCE_STATES,
    TASK_STATES,
)
from exporter.translation import Translator

EXPLAINED_VALUES: Final[Mapping[str, Sequence[str]]] = MappingProxyType(
    {
        "state": SOURCE_STATES,
        "stage": MIGRATION_CYCLES,
        "task state": TASK_STATES,
        "subtask": SUBTASKS,
        "clone state": CLONE_STATES,
        "log status": LOG_COLLECT_STATUSES,
        "check result": CHECK_RESULTS,
        "device use": DEVICE_USES,
    }
)
"""The values that have a translation, by their kind, which is the context in the catalogue."""


def find_meaning(value: str, kind: str, translator: Translator) -> str:
    """Return the meaning of a value in the language of the translator; empty in English, and if it is not known."""
    meaning = translator.pgettext(kind, value)
    return "" if meaning == value else meaning


def explain_value(value: str, kind: str, translator: Translator) -> str:
    """Return a value with its meaning in brackets, if there is one."""
    meaning = find_meaning(value, kind, translator)
    if not meaning:
        return value
    return translator.gettext("%(value)s (%(meaning)s)") % {"value": value, "meaning": meaning}
