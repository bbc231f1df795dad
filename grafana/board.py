"""Everything of a dashboard around its panels: UID, variables, rows, and links to the other dashboards."""

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from grafana_foundation_sdk.builders.dashboard import (
    CustomVariable,
    Dashboard,
    DashboardLink,
    DatasourceVariable,
    IntervalVariable,
    QueryVariable,
    Row,
)
from grafana_foundation_sdk.models import dashboard

from exporter.families.family import PREFIX
from grafana.panels import DATASOURCE, Column, Frame, Panel, rows
from grafana.promql import MOVING_STATES, matching, record
from grafana.promql import alerts as firing
from grafana.style import SEVERITY_COLOURS, coloured

OVERVIEW: Final = "huaweicloud-sms-overview"
SERVER: Final = "huaweicloud-sms-server"
CUTOVER: Final = "huaweicloud-sms-cutover"
EXPORTER: Final = "huaweicloud-sms-exporter"
TITLES: Final[Mapping[str, str]] = {
    OVERVIEW: "Huawei Cloud SMS / Migration overview",
    CUTOVER: "Huawei Cloud SMS / Cut-over",
    SERVER: "Huawei Cloud SMS / Source server",
    EXPORTER: "Huawei Cloud SMS / Exporter",
}

_TO_SERVER: Final = f"/d/{SERVER}?${{datasource:queryparam}}&${{__url_time_range}}"
LINK_OF_ROW: Final = f"{_TO_SERVER}&var-account=${{__data.fields.account}}&var-server=${{__data.fields.server_id}}"
"""The link from a table row with the fields account and server_id to the dashboard of that server."""
LINK_OF_SERIES: Final = f"{_TO_SERVER}&var-account=${{__field.labels.account}}&var-server=${{__field.labels.server_id}}"
"""The link from a series with the labels account and server_id to the dashboard of that server."""

RUNBOOK_OF_ROW: Final = (
    "https://github.com/huaweicloud-sms-exporter/huaweicloud-sms-exporter/blob/main/docs/runbooks/"
    "${__data.fields.alertname}.md"
)
"""The link from a table row with the field alertname to the runbook."""

_ALL: Final = dashboard.VariableOption(selected=True, text=["All"], value=["$__all"])

Variable: TypeAlias = CustomVariable | DatasourceVariable | IntervalVariable | QueryVariable
Section: TypeAlias = tuple[str, Sequence[Panel]]


def board(uid: str, description: str, variables: Sequence[Variable], sections: Sequence[Section]) -> Dashboard:
    """Build a dashboard of titled rows of panels, laid out from left to right."""
    built = (
        Dashboard(TITLES[uid])
        .uid(uid)
        .description(description)
        .tags(["huaweicloud-sms"])
        .time("now-6h", "now")
        .refresh("1m")
        .timezone("browser")
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .editable()
        .links([_link(other) for other in TITLES if other != uid])
        .annotations([])
        .variables([datasource(), *variables])
    )
    number = 0
    for title, panels in sections:
        number += 1
        built.with_row(Row(title).id(number))
        for panel in panels:
            number += 1
            built.with_panel(panel.id(number))
    return built


def alerts(*matchers: str) -> Panel:
    """Return the table of firing alerts, by default those of the selected accounts and of exporters."""
    columns = (
        Column("alertname", "Alert", link=RUNBOOK_OF_ROW),
        Column("severity", "Severity", mappings=coloured(SEVERITY_COLOURS), coloured=True),
        Column("account", "Account"),
        Column("server_id", "Server ID", link=LINK_OF_ROW),
        Column("instance", "Exporter"),
        Column("problem", "Problem"),
    )
    return rows(
        Frame("Firing alerts", "Firing alerts. The name links to the runbook.", width=24, height=6, empty="none"),
        columns,
        firing(*matchers or ('account=~"$account|"',)),
        sort_by="Severity",
        descending=False,
    )


def datasource() -> DatasourceVariable:
    """Return the variable that selects the Prometheus data source."""
    return (
        DatasourceVariable("datasource")
        .label("Data source")
        .description("The Prometheus that scrapes the exporter.")
        .type("prometheus")
    )


def account() -> QueryVariable:
    """Return the variable that selects accounts."""
    query = f"label_values({PREFIX}up, account)"
    return _many("account", "Account", "Account names from the configuration of the exporter.", query)


def system() -> QueryVariable:
    """Return the variable that selects operating systems."""
    query = f'label_values({PREFIX}source_server_info{{account=~"$account"}}, os_type)'
    return _many("os", "OS", "Operating systems of the source servers.", query)


def state() -> QueryVariable:
    """Return the variable that selects states."""
    query = f'label_values({PREFIX}source_servers{{account=~"$account"}}, state)'
    return _many("state", "State", "States of the source servers.", query)


def moving_state() -> CustomVariable:
    """Return the variable that selects among the states in which data is replicated."""
    return (
        CustomVariable("state")
        .label("State")
        .description("States in which data is replicated.")
        .values(MOVING_STATES.replace("|", ","))
        .include_all(include_all=True)
        .all_value(MOVING_STATES)
        .multi(multi=True)
        .current(_ALL)
    )


def chosen_server() -> QueryVariable:
    """Return the variable that selects one server by name, filtered by account, operating system and state."""
    known = record("state", matching("os_type", "$os"), matching("state", "$state"))
    # A server without a name is listed by its ID.
    labelled = (
        f'label_replace(label_replace({known}, "server", "$1", "server_id", "(.*)"), "server", "$1", "name", "(.+)")'
    )
    return (
        QueryVariable("server")
        .label("Server")
        .description("One source server, by name.")
        .datasource(DATASOURCE)
        .query(f"query_result({labelled})")
        .regex(r'/server="(?<text>(?:[^"\\]|\\.)*)".*server_id="(?<value>[^"]*)"/')
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.ALPHABETICAL_CASE_INSENSITIVE_ASC)
    )


def window() -> IntervalVariable:
    """Return the variable that selects the window of the measured speed."""
    return (
        IntervalVariable("window")
        .label("Speed window")
        .description("The time range over which the replication speed is measured.")
        .values("5m,10m,30m,1h,6h")
        .current(dashboard.VariableOption(selected=True, text="10m", value="10m"))
    )


def hours() -> CustomVariable:
    """Return the variable that selects the hours until the cut-over."""
    return (
        CustomVariable("hours")
        .label("Hours until cut-over")
        .description("The number of hours in which everything must be replicated.")
        .values("1,2,4,8,12,24,48,72")
        .current(dashboard.VariableOption(selected=True, text="8", value="8"))
    )


def _many(name: str, label: str, description: str, query: str) -> QueryVariable:
    return (
        QueryVariable(name)
        .label(label)
        .description(description)
        .datasource(DATASOURCE)
        .query(query)
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.ALPHABETICAL_CASE_INSENSITIVE_ASC)
        .include_all(include_all=True)
        .all_value(".*")
        .multi(multi=True)
        .current(_ALL)
    )


def _link(uid: str) -> DashboardLink:
    return (
        DashboardLink(TITLES[uid].rpartition("/ ")[2])
        .type(dashboard.DashboardLinkType.LINK)
        .url(f"/d/{uid}")
        .icon("dashboard")
        .tooltip(TITLES[uid])
        .tags([])
        .include_vars(include_vars=True)
        .keep_time(keep_time=True)
    )
