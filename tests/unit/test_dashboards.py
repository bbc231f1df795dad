"""The dashboards as they are checked in."""

import re
from itertools import combinations
from typing import Any

import pytest
import yaml

from dashboards import BUILT_IN, FOLDER, boards, panels, queries, variables, variables_in
from exporter.exposition.health import Health
from exporter.families import DETAIL_COLLECTORS, OPTIONAL_COLLECTORS, Family, full_name
from exporter.families.fleet import FLEET
from exporter.polling.snapshot import OTHER
from exporter.sms.model import MIGRATION_CYCLES, SOURCE_STATES
from grafana.build import main, render_dashboards
from grafana.style import CYCLE_COLOURS, STATE_COLOURS
from support import FakeClock

BOARDS = boards()
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}
RECORD = re.compile(r"\b\w+:\w+:\w+")
OURS = re.compile(r"\b(?:huaweicloud_sms|process|python|scrape)_\w+")
LABELS = re.compile(r"\b(?:by|on|group_left|group_right) \(([^()]*)\)")
HEALTH_LABELS = {
    "collector",
    "api",
    "api_region",
    "code",
    "endpoint",
    "field",
    "reason",
    "version",
    "revision",
    "pythonversion",
}
# Labels of Prometheus, of histograms, and those that queries and rules add.
FURTHER_LABELS = {"job", "instance", "le", "problem", "alertname", "severity", "verdict", "remedy"}


def families() -> list[Family]:
    return [family for collector in (FLEET, *OPTIONAL_COLLECTORS, *DETAIL_COLLECTORS) for family in collector.families]


def metrics() -> set[str]:
    """Return the names of all samples that the exporter can expose, and those that Prometheus adds to a scrape."""
    names = {full_name(family) + ("_total" if family.kind == "counter" else "") for family in families()}
    for metric in Health(FakeClock(), "unknown").registry.collect():
        names |= {metric.name + suffix for suffix in SUFFIXES.get(metric.type, ("",))}
    return names | {"scrape_samples_scraped"}


def records() -> set[str]:
    """Return the names of all recording rules."""
    rules = FOLDER.parent.parent / "deploy" / "prometheus" / "rules"
    groups = [group for file in rules.glob("*.yml") for group in yaml.safe_load(file.read_text())["groups"]]
    return {rule["record"] for group in groups for rule in group["rules"] if "record" in rule}


def names_in(expression: str) -> set[str]:
    """Return the names of metrics and records in an expression."""
    return {*RECORD.findall(expression), *OURS.findall(RECORD.sub("", expression))}


def labels() -> set[str]:
    of_families = {label for family in families() for label in family.labels}
    return {"account", "server_id"} | of_families | HEALTH_LABELS | FURTHER_LABELS


def overrides(panel: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the overrides of a panel by field name."""
    return {
        override["matcher"]["options"]: {item["id"]: item["value"] for item in override["properties"]}
        for override in panel["fieldConfig"].get("overrides", ())
    }


def texts(mappings: list[dict[str, Any]]) -> dict[str, str]:
    """Return the colours of mapped texts."""
    return {
        result["text"]: result["color"]
        for mapping in mappings
        if mapping["type"] == "value"
        for result in mapping["options"].values()
    }


def all_panels() -> list[Any]:
    return [
        pytest.param(panel, id=f"{name.removesuffix('.json')}: {panel['title']}")
        for name, board in BOARDS.items()
        for panel in panels(board)
    ]


every_panel = pytest.mark.parametrize("panel", all_panels())
every_board = pytest.mark.parametrize("board", [pytest.param(board, id=name) for name, board in BOARDS.items()])


def test_the_checked_in_json_is_what_the_code_renders() -> None:
    checked_in = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.iterdir()}
    stale = {
        name
        for name in checked_in.keys() | render_dashboards().keys()
        if checked_in.get(name) != render_dashboards().get(name)
    }
    assert not stale, "make dashboards rebuilds them"


def test_building_removes_dashboards_that_no_longer_exist(tmp_path: Any) -> None:
    (tmp_path / "gone.json").write_text("{}")
    main(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(BOARDS)


@every_panel
def test_every_panel_has_a_title_and_a_description(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")


@every_panel
def test_every_panel_has_a_unit_thresholds_and_a_text_for_no_data(panel: dict[str, Any]) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    assert defaults["unit"]
    assert defaults["thresholds"]["steps"][0]["value"] is None
    assert defaults["noValue"]


@every_panel
def test_every_panel_queries_the_selected_data_source(panel: dict[str, Any]) -> None:
    for source in (panel, *panel["targets"]):
        assert source["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


@every_panel
def test_every_value_column_of_a_table_has_a_query(panel: dict[str, Any]) -> None:
    if panel["type"] != "table":
        return
    letters = [target["refId"] for target in panel["targets"]]
    values = {name for name in overrides(panel) if name.startswith("Value")}
    expected = {"Value"} if len(letters) == 1 else {f"Value #{letter}" for letter in letters}
    assert values <= expected
    for name in values:
        assert overrides(panel)[name].keys() >= {"displayName", "unit"}


def test_queries_use_only_existing_metrics() -> None:
    used = {(query.panel, name) for query in queries() for name in names_in(query.expression)}
    used |= {
        (board["title"], name)
        for board in BOARDS.values()
        for variable in variables(board)
        for name in names_in(str(variable.get("query", "")))
    }
    known = metrics() | records()
    assert len({name for _, name in used}) > 50
    assert {(panel, name) for panel, name in used if name not in known} == set()


def test_queries_group_and_join_only_by_existing_labels() -> None:
    used = set()
    for query in queries():
        for group in LABELS.findall(query.expression):
            used |= {label.strip() for label in group.split(",")} - {""}
        used |= set(re.findall(r"{{(\w+)}}", query.legend))
    for board in BOARDS.values():
        for panel in panels(board):
            if panel["type"] == "table":
                used |= {name for name in overrides(panel) if not name.startswith("Value")}
    assert used >= {"account", "server_id", "state", "problem"}
    assert used - labels() == set()


def test_every_state_and_every_stage_has_its_own_colour() -> None:
    assert set(STATE_COLOURS) == {*SOURCE_STATES, OTHER}
    assert set(CYCLE_COLOURS) == {*MIGRATION_CYCLES, OTHER}
    for colours in (STATE_COLOURS, CYCLE_COLOURS):
        assert len(set(colours.values())) == len(colours)


def test_a_state_has_the_same_colour_everywhere() -> None:
    expected = {**CYCLE_COLOURS, **STATE_COLOURS}
    assert all(CYCLE_COLOURS[name] == STATE_COLOURS[name] for name in CYCLE_COLOURS.keys() & STATE_COLOURS.keys())
    seen = set()
    for board in BOARDS.values():
        for panel in panels(board):
            found = texts(panel["fieldConfig"]["defaults"].get("mappings", []))
            for name, properties in overrides(panel).items():
                found |= texts(properties.get("mappings", []))
                if "color" in properties:
                    found[name] = properties["color"]["fixedColor"]
            for name in found.keys() & expected.keys():
                seen.add((board["title"], name))
                assert found[name] == expected[name], (board["title"], panel["title"], name)
    assert len({board for board, _ in seen}) == 3
    assert {name for _, name in seen} == expected.keys()


def test_series_by_state_have_the_state_colours() -> None:
    by_state = [
        panel
        for board in BOARDS.values()
        for panel in panels(board)
        for target in panel["targets"]
        if target.get("legendFormat") in {"{{state}}", "{{to_state}}"}
    ]
    assert len(by_state) == 5
    for panel in by_state:
        assert overrides(panel).keys() >= STATE_COLOURS.keys()


def test_dashboard_uids_and_titles_and_panel_ids_are_unique() -> None:
    assert len({board["uid"] for board in BOARDS.values()}) == len(BOARDS) == 4
    assert len({board["title"] for board in BOARDS.values()}) == len(BOARDS)
    for board in BOARDS.values():
        numbers = [panel["id"] for panel in board["panels"]]
        assert len(set(numbers)) == len(numbers)
        assert len(board["uid"]) <= 40


def test_links_lead_to_existing_dashboards() -> None:
    uids = {board["uid"] for board in BOARDS.values()}
    for name, content in render_dashboards().items():
        linked = set(re.findall(r'"/d/([\w-]+)', content))
        assert linked == uids - {BOARDS[name]["uid"]} | (linked & {"huaweicloud-sms-server"})


def test_server_names_in_tables_link_to_the_server_dashboard() -> None:
    leading = [
        panel["title"]
        for board in BOARDS.values()
        for panel in panels(board)
        if panel["type"] == "table" and "links" in overrides(panel).get("name", {})
    ]
    assert leading == [
        "Servers by remaining time",
        "Servers in continuous synchronization",
        "Servers that need attention",
        "Errors",
    ]


@every_board
def test_every_used_variable_exists_and_every_variable_is_used(board: dict[str, Any]) -> None:
    existing = [variable["name"] for variable in variables(board)]
    texts = [target["expr"] for panel in panels(board) for target in panel["targets"]]
    texts += [str(variable.get("query", "")) for variable in variables(board)]
    used = {"datasource"}.union(*map(variables_in, texts)) - BUILT_IN.keys()
    assert used == set(existing)
    assert existing[:2] == ["datasource", "account"]


@every_board
def test_panels_fit_and_do_not_overlap(board: dict[str, Any]) -> None:
    places = [panel["gridPos"] for panel in board["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above, (one, other)
