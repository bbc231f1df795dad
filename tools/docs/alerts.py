"""Builds the index of alerts, from the rules and the first paragraph of each runbook."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[2]
RUNBOOKS: Final = ROOT / "docs" / "runbooks"
INDEX: Final = RUNBOOKS / "README.md"
RULES: Final = ROOT / "deploy" / "prometheus" / "rules"

_ABOVE: Final = """\
# Alerts

Every alert of the [rules](../../deploy/prometheus/rules/) has a runbook. Critical alerts page, warnings become
tickets; the [Alertmanager configuration](../../deploy/alertmanager/alertmanager.yml) is an example. *for* is how long
the condition must hold before the alert fires.

Error codes, remedies, ports and console paths in the runbooks come from Huawei Cloud's API reference, user guide and
FAQs of 2025 and 2026. They were not verified on the live service.
"""
_TABLES: Final = {"sms-exporter.yml": "Exporters and accounts", "sms-servers.yml": "Servers"}


def page() -> str:
    """Return the index of all alerts."""
    parts = [_ABOVE]
    for name, title in _TABLES.items():
        rows = "\n".join(_rows(yaml.safe_load((RULES / name).read_text(encoding="utf-8"))))
        parts.append(f"## {title}\n\n| alert | severity | condition | for |\n| --- | --- | --- | --- |\n{rows}\n")
    return "\n".join(parts)


def _rows(rules: dict[str, Any]) -> Iterator[str]:
    for group in rules["groups"]:
        for rule in group["rules"]:
            if name := rule.get("alert"):
                condition = _condition(RUNBOOKS / f"{name}.md").replace("|", "\\|")
                yield f"| [{name}]({name}.md) | {rule['labels']['severity']} | {condition} | {rule.get('for', '0m')} |"


def _condition(runbook: Path) -> str:
    """Return the first sentence of a runbook on one line."""
    meaning = runbook.read_text(encoding="utf-8").partition("## Meaning\n\n")[2].partition("\n\n")[0]
    return " ".join(meaning.split()).partition(". ")[0].removesuffix(".") + "."
