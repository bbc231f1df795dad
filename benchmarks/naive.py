"""The baseline: a straightforward exporter with pydantic models and a custom collector, rendered at each scrape."""

import time
from collections.abc import Iterator, Sequence
from typing import cast

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.registry import Collector, CollectorRegistry
from pydantic import BaseModel, ConfigDict

from exporter.families import Collector as OurCollector
from exporter.families import Family, SnapshotFamily, ValueFamily, full_name, help_text
from exporter.families.family import RowFamily, Sample, first_of_each, label_names, unit_of
from exporter.polling.snapshot import Snapshot
from exporter.sms.model import SourceServer


class Loose(BaseModel):
    """Base class of the models; numbers are accepted where strings are documented."""

    model_config = ConfigDict(coerce_numbers_to_str=True, extra="ignore")


class Check(Loose):
    """A check."""

    name: str | None = None
    result: str | None = None
    error_code: str | None = None


class Named(Loose):
    """A target server or a clone."""

    vm_id: str | None = None
    name: str | None = None
    clone_state: str | None = None
    clone_error: str | None = None


class Task(Loose):
    """A task."""

    id: str | None = None
    name: str | None = None
    type: str | None = None
    state: str | None = None
    estimate_complete_time: int | None = None
    start_date: int | None = None
    speed_limit: int | None = None
    migrate_speed: float | None = None
    compress_rate: float | None = None
    start_target_server: bool | None = None
    vm_template_id: str | None = None
    region_id: str | None = None
    project_name: str | None = None
    project_id: str | None = None
    target_server: Named | None = None
    log_collect_status: str | None = None
    exist_server: bool | None = None
    use_public_ip: bool | None = None
    clone_server: Named | None = None
    remain_seconds: int | None = None
    log_upload_time: int | None = None
    subtask_info: str | None = None


class Volume(Loose):
    """A partition or a logical volume."""

    name: str | None = None
    device_use: str | None = None
    file_system: str | None = None
    mount_point: str | None = None
    size: int | None = None
    used_size: int | None = None
    free_size: int | None = None
    inode_size: int | None = None
    inode_nums: int | None = None


class Disk(Loose):
    """A disk."""

    name: str | None = None
    size: int | None = None
    device_use: str | None = None
    used_size: int | None = None
    physical_volumes: list[Volume] | None = None


class Group(Loose):
    """A volume group."""

    name: str | None = None
    size: int | None = None
    free_size: int | None = None
    logical_volumes: list[Volume] | None = None


class Recommended(Loose):
    """The recommended target."""

    disks: list[Disk] | None = None
    volume_groups: list[Group] | None = None


class Server(Loose):
    """A source server."""

    id: str
    ip: str | None = None
    name: str | None = None
    enterprise_project_id: str | None = None
    add_date: int | None = None
    os_type: str | None = None
    os_version: str | None = None
    oem_system: bool | None = None
    state: str | None = None
    connected: bool | None = None
    cpu_quantity: int | None = None
    memory: int | None = None
    current_task: Task | None = None
    checks: list[Check] | None = None
    init_target_server: Recommended | None = None
    replicatesize: int | None = None
    stage_action_time: int | None = None
    totalsize: int | None = None
    last_visit_time: int | None = None
    migration_cycle: str | None = None
    state_action_time: int | None = None
    is_consistency_result_exist: bool | None = None
    has_tc: bool | None = None


class Page(Loose):
    """A page."""

    count: int
    source_servers: list[Server]


def snapshot_of(pages: Sequence[bytes]) -> Snapshot:
    """Decode all pages into models, which the declarations of the families read like our structs."""
    servers = [server for page in pages for server in Page.model_validate_json(page).source_servers]
    now = time.time()
    last_growth = {server.id: now for server in servers}
    return Snapshot(
        "default", now, cast("tuple[SourceServer, ...]", tuple(servers)), len(servers), last_growth=last_growth
    )


def metric_of(family: Family, snapshot: Snapshot) -> Metric:
    """Make prometheus-client's family of a declaration: the plain reading, and the reference of the renderer."""
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = kind(
        full_name(family), help_text(family), labels=("account", *label_names(family)), unit=unit_of(family.name)
    )
    if isinstance(family, SnapshotFamily):
        for values, number in family.samples(snapshot):
            metric.add_metric((snapshot.account, *values), number)
        return metric
    for server in snapshot.servers:
        for values, number in samples_of_server(family, server, snapshot):
            metric.add_metric((snapshot.account, server.id, *values), number)
    return metric


def samples_of_server(family: RowFamily, server: SourceServer, snapshot: Snapshot) -> Iterator[Sample]:
    """Return the samples of one server."""
    rows = family.rows.read(server)
    records = [record for _, record in rows]
    if isinstance(family, ValueFamily):
        for (labels, _), number in zip(rows, family.read_numbers(records, snapshot), strict=True):
            if number is not None:
                yield labels, number
    else:
        for value in family.read_values(records):
            if value is not None:
                yield from first_of_each(family.samples(value))


class NaiveCollector(Collector):
    """The same families of the same snapshot, converted to families of prometheus-client at each scrape."""

    def __init__(self, collectors: Sequence[OurCollector], snapshot: Snapshot) -> None:
        self._families = [family for collector in collectors for family in collector.families]
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        """Yield one family after the other."""
        for family in self._families:
            yield metric_of(family, self._snapshot)


def render(collectors: Sequence[OurCollector], snapshot: Snapshot) -> bytes:
    """Render a snapshot as OpenMetrics."""
    registry = CollectorRegistry()
    registry.register(NaiveCollector(collectors, snapshot))
    return bytes(generate_latest(registry))  # type: ignore[no-untyped-call]
