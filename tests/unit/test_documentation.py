"""The pages of docs/ are complete, and their links and anchors exist."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.clock import SystemClock
from exporter.families import DETAIL_COLLECTORS, FLEET, OPTIONAL_COLLECTORS
from exporter.language import CHINESE
from exporter.simulator.authentication import ACTIONS, Permissions
from exporter.simulator.control import Control
from exporter.simulator.faults import KINDS, Faults
from exporter.simulator.fleet import Fleet
from exporter.simulator.tokens import Tokens
from exporter.sms.model import MIGRATION_CYCLES, SOURCE_STATES
from exporter.translation import Translator
from exporter.views import migrations
from exporter.views.meanings import EXPLAINED_VALUES
from exporter.views.selection import DEFAULT_SORT, FILTERS, SORT_KEYS
from exporter.views.tables import FIELDS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(
    page
    for folder in (ROOT, *DOCS.glob("**"), ROOT / "grafana", *(ROOT / "deploy").glob("**"))
    for page in folder.glob("*.md")
)
LINK = re.compile(r"\]\((?!https?://)([^)#\s]*)(?:#([^)\s]*))?\)")
FENCED = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)", FENCED.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """Yield the file and the anchor of each link of a page to a file of the repository."""
    for target, anchor in LINK.findall(FENCED.sub("", page.read_text(encoding="utf-8"))):
        yield (page.parent / target if target else page), anchor


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_to_a_heading_in_it(page: Path) -> None:
    for target, anchor in links(page):
        assert target.exists(), target
        assert not anchor or anchor in anchors(target), f"{target}#{anchor}"


def first_cells(page: str, heading: str) -> list[str]:
    """Return the words in code style of the first column of the tables under a heading."""
    text = (DOCS / page).read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return [word for cell in re.findall(r"^\| (.*?) \|", text, re.MULTILINE) for word in re.findall(r"`(.*?)`", cell)]


def test_the_page_on_states_describes_every_state_and_every_stage() -> None:
    assert sorted(first_cells("states.md", "States")) == sorted((*SOURCE_STATES, "other"))
    assert first_cells("states.md", "Stages") == list(MIGRATION_CYCLES)


def test_the_page_on_permissions_names_every_collector() -> None:
    assert sorted(first_cells("permissions.md", "Actions")) == sorted(
        collector.name for collector in (FLEET, *OPTIONAL_COLLECTORS, *DETAIL_COLLECTORS)
    )


def test_the_page_on_the_simulator_describes_every_fault() -> None:
    assert [re.split(r"[\[=]", fault)[0] for fault in first_cells("simulator.md", "Faults")] == list(KINDS)


def test_the_page_on_the_simulator_names_the_iam_action_of_every_list() -> None:
    text = (DOCS / "simulator.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"\| `(sms:[\w:]+)` \|$", text, re.MULTILINE)) == sorted(ACTIONS)


def test_the_page_on_the_simulator_describes_every_control_endpoint() -> None:
    control = Control(Fleet(1, seed=1, clock=SystemClock()), Faults(), Tokens(), Permissions(), [])
    assert sorted(first_cells("simulator.md", "Control endpoints")) == sorted(
        f"{route.method} {route.path}" for route in control.routes()
    )


CHINESE_PAGES = {
    page: ROOT / "README.md" if page.name == "README.zh-CN.md" else DOCS / page.relative_to(DOCS / "zh-CN")
    for page in sorted((DOCS / "zh-CN").rglob("*.md"))
    if page != DOCS / "zh-CN" / "runbooks" / "README.md"
}
"""The Chinese pages and their English counterparts."""


def outline(page: Path) -> list[int]:
    """Return the levels of the headings of a page, in order."""
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    return [len(heading) for heading in re.findall(r"^(#+) ", text, re.MULTILINE)]


def code(page: Path) -> list[str]:
    """Return the code blocks of a page, without their comments, which are translated."""
    blocks = FENCED.findall(page.read_text(encoding="utf-8"))
    return [re.sub(r"^#.*\n", "", block, flags=re.MULTILINE) for block in blocks]


def rows(page: Path) -> list[list[str]]:
    """Return the words in code style of the first cell of each table row."""
    cells = re.findall(r"^\| (.*?) \|", page.read_text(encoding="utf-8"), re.MULTILINE)
    return [re.findall(r"`.*?`", cell) for cell in cells]


def test_every_alert_that_pages_has_a_chinese_runbook() -> None:
    rules = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "deploy/prometheus/rules").glob("*.yml"))
    paging = re.findall(r"- alert: (\w+)(?:(?!- alert:)[\s\S])*?severity: critical", rules)
    index = (DOCS / "zh-CN" / "runbooks" / "README.md").read_text(encoding="utf-8")
    assert paging
    assert sorted(re.findall(r"\((\w+)\.md\)", index)) == sorted(paging)
    assert {page.stem for page in (DOCS / "zh-CN" / "runbooks").glob("Sms*.md")} == set(paging)


@pytest.mark.parametrize("page", CHINESE_PAGES, ids=lambda page: page.name)
def test_a_chinese_page_has_the_headings_code_and_tables_of_the_english_one(page: Path) -> None:
    english = CHINESE_PAGES[page]
    assert outline(page) == outline(english)
    assert code(page) == code(english)
    assert rows(page) == rows(english)


def test_the_chinese_diagram_of_states_is_that_of_the_english_page_with_the_words_of_the_pages() -> None:
    english, chinese = ((DOCS / "images" / name).read_text("utf-8") for name in ("states.svg", "states.zh-CN.svg"))
    shapes = re.compile(r"<(?:rect|path) [^>]*>")
    assert shapes.findall(chinese) == shapes.findall(english)
    texts = re.findall(r"<text [^>]*>([^<]*)</text>", chinese)
    translator = Translator(CHINESE)
    for kind, values in (("state", SOURCE_STATES), ("stage", MIGRATION_CYCLES)):
        shown = set(itertools.pairwise(texts))
        drawn = [value for value in values if f">{value}</text>" in english]
        assert {(value, translator.pgettext(kind, value)) for value in drawn} <= shown


@pytest.mark.parametrize(("heading", "kind"), [("状态", "state"), ("迁移阶段", "stage")])
def test_the_chinese_page_on_states_has_the_words_of_the_pages(heading: str, kind: str) -> None:
    text = (DOCS / "zh-CN" / "states.md").read_text(encoding="utf-8")
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    translator = Translator(CHINESE)
    for value in EXPLAINED_VALUES[kind]:
        assert f"`{value}`（{translator.pgettext(kind, value)}）" in section


def test_the_page_on_pages_describes_every_filter_and_every_sort_key() -> None:
    assert first_cells("pages.md", "Query parameters") == ["search", *FILTERS, "sort", "page"]
    (row,) = re.findall(r"^\| `sort` \| (.*) \|", (DOCS / "pages.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert re.findall(r"`(\w+)`", row) == [DEFAULT_SORT, *SORT_KEYS]


def test_the_page_on_pages_describes_every_field_of_the_downloads() -> None:
    assert first_cells("pages.md", "Downloads") == list(FIELDS)
    assert first_cells("pages.md", "Download of migrations") == list(migrations.FIELDS)


METRIC = re.compile(r"\b(?:\w+:)?huaweicloud_sms_\w+(?::\w+)?")


def known_metrics() -> set[str]:
    """Return the metrics of the exporter and of the recording rules."""
    exposed = re.findall(r"^\| `(\w+)` \|", (DOCS / "metrics.md").read_text(encoding="utf-8"), re.MULTILINE)
    rules = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "deploy/prometheus/rules").glob("*.yml"))
    return {f"huaweicloud_sms_{name}" for name in exposed} | set(re.findall(r"- record: (\S+)", rules))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_metric_in_a_code_block_or_in_code_style_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    code_style = re.findall(r"`([^`\n]+)`", FENCED.sub("", text))
    found = {name for block in (*FENCED.findall(text), *code_style) for name in METRIC.findall(block)}
    assert {name for name in found if not name.endswith("_")} <= known_metrics()
