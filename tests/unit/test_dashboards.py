"""The dashboards as they are checked in."""

import re
from itertools import combinations
from typing import Any

import pytest

from dashboards import BUILT_IN, FOLDER, boards, panels, queries, variables, variables_in
from exporter.exposition.health import Health
from exporter.families import SWITCHED, Family, full_name
from exporter.families.fleet import FLEET
from exporter.polling.snapshot import OTHER
from exporter.sms.model import MIGRATION_CYCLES, SOURCE_STATES
from grafana.build import built, main
from grafana.style import CYCLE_COLOURS, STATE_COLOURS
from support import FakeClock

BOARDS = boards()
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}
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
# Labels of Prometheus itself, of histograms, and one that a query makes.
FURTHER_LABELS = {"job", "instance", "le", "problem"}


def families() -> list[Family]:
    return [family for collector in (FLEET, *SWITCHED) for family in collector.families]


def metrics() -> set[str]:
    """Give the names of all samples that the exporter can expose, and Prometheus' own of a scrape."""
    names = {full_name(family) + ("_total" if family.kind == "counter" else "") for family in families()}
    for metric in Health([], FakeClock(), lambda _: {}).registry.collect():
        names |= {metric.name + suffix for suffix in SUFFIXES.get(metric.type, ("",))}
    return names | {"scrape_samples_scraped"}


def labels() -> set[str]:
    of_families = {label for family in families() for label in family.labels}
    return {"account", "server_id"} | of_families | HEALTH_LABELS | FURTHER_LABELS


def overrides(panel: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Give the properties that a panel lays down for its fields, by the field's name."""
    return {
        override["matcher"]["options"]: {item["id"]: item["value"] for item in override["properties"]}
        for override in panel["fieldConfig"].get("overrides", ())
    }


def texts(mappings: list[dict[str, Any]]) -> dict[str, str]:
    """Give the colours of the words that values are mapped to."""
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


def test_the_json_that_is_checked_in_is_what_the_code_builds() -> None:
    checked_in = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.iterdir()}
    stale = {name for name in checked_in.keys() | built().keys() if checked_in.get(name) != built().get(name)}
    assert not stale, "make dashboards rebuilds them"


def test_building_removes_boards_that_are_gone(tmp_path: Any) -> None:
    (tmp_path / "gone.json").write_text("{}")
    main(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(BOARDS)


@every_panel
def test_a_panel_says_what_it_shows(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")


@every_panel
def test_a_panel_has_a_unit_and_thresholds(panel: dict[str, Any]) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    assert defaults["unit"]
    assert defaults["thresholds"]["steps"][0]["value"] is None
    assert defaults["noValue"]


@every_panel
def test_a_panel_asks_the_data_source_that_is_chosen(panel: dict[str, Any]) -> None:
    for asked in (panel, *panel["targets"]):
        assert asked["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


@every_panel
def test_columns_of_values_are_those_of_the_queries(panel: dict[str, Any]) -> None:
    if panel["type"] != "table":
        return
    letters = [target["refId"] for target in panel["targets"]]
    values = {name for name in overrides(panel) if name.startswith("Value")}
    expected = {"Value"} if len(letters) == 1 else {f"Value #{letter}" for letter in letters}
    assert values <= expected
    for name in values:
        assert overrides(panel)[name].keys() >= {"displayName", "unit"}


def test_a_query_asks_for_metrics_that_there_are() -> None:
    asked = {(query.panel, name) for query in queries() for name in OURS.findall(query.expression)}
    asked |= {
        (board["title"], name)
        for board in BOARDS.values()
        for variable in variables(board)
        for name in OURS.findall(str(variable.get("query", "")))
    }
    known = metrics()
    assert len({name for _, name in asked}) > 50
    assert {(panel, name) for panel, name in asked if name not in known} == set()


def test_a_query_groups_and_joins_by_labels_that_there_are() -> None:
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


def test_every_state_and_stage_has_a_colour_of_its_own() -> None:
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


def test_a_series_by_state_is_painted_in_the_colours_of_states() -> None:
    by_state = [
        panel
        for board in BOARDS.values()
        for panel in panels(board)
        for target in panel["targets"]
        if target.get("legendFormat") in {"{{state}}", "{{to_state}}"}
    ]
    assert len(by_state) == 3
    for panel in by_state:
        assert overrides(panel).keys() >= STATE_COLOURS.keys()


def test_addresses_of_boards_and_numbers_of_panels_are_unique() -> None:
    assert len({board["uid"] for board in BOARDS.values()}) == len(BOARDS) == 4
    assert len({board["title"] for board in BOARDS.values()}) == len(BOARDS)
    for board in BOARDS.values():
        numbers = [panel["id"] for panel in board["panels"]]
        assert len(set(numbers)) == len(numbers)
        assert len(board["uid"]) <= 40


def test_links_lead_to_boards_that_there_are() -> None:
    uids = {board["uid"] for board in BOARDS.values()}
    for name, content in built().items():
        linked = set(re.findall(r'"/d/([\w-]+)', content))
        assert linked == uids - {BOARDS[name]["uid"]} | (linked & {"huaweicloud-sms-server"})


def test_servers_in_tables_lead_to_their_board() -> None:
    leading = [
        panel["title"]
        for board in BOARDS.values()
        for panel in panels(board)
        if panel["type"] == "table" and "links" in overrides(panel).get("name", {})
    ]
    assert leading == ["Servers by time left", "Servers that need attention"]


@every_board
def test_variables_that_are_used_are_there_and_those_there_are_used(board: dict[str, Any]) -> None:
    there = [variable["name"] for variable in variables(board)]
    texts = [target["expr"] for panel in panels(board) for target in panel["targets"]]
    texts += [str(variable.get("query", "")) for variable in variables(board)]
    used = {"datasource"}.union(*map(variables_in, texts)) - BUILT_IN.keys()
    assert used == set(there)
    assert there[:2] == ["datasource", "account"]


@every_board
def test_panels_fit_and_do_not_overlap(board: dict[str, Any]) -> None:
    places = [panel["gridPos"] for panel in board["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above, (one, other)
