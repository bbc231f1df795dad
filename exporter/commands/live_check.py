"""What `check --live` learns of an API with single requests: permissions, paging, unit of speeds, undocumented data.

No request is retried, and nothing that fails here fails the check of the account, except for a collector that is on.
"""

import asyncio
import contextlib
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from statistics import median
from types import MappingProxyType
from typing import Any, Final

from exporter.errors import PollError, RequestTimeout
from exporter.http.foreign_text import clean_text
from exporter.language import Translatable
from exporter.polling.collectors import DETAIL_COLLECTORS
from exporter.polling.snapshot import SPEED_UNITS
from exporter.settings import AccountSettings, DetailSettings
from exporter.sms.client import ListClient, RetryBudget
from exporter.sms.consistency import (
    LIST_FIELD,
    ConsistencyResult,
    get_result_path,
    is_task_id,
    parse_consistency_result,
)
from exporter.sms.decoding import Records
from exporter.sms.documented import find_unknown_fields
from exporter.sms.endpoints import MIGRATION_ERRORS, MIGRATION_PROJECTS, MIGRATION_TASKS, SOURCE_SERVERS, Endpoint
from exporter.sms.model import NO_TASK, Record, SourceServer
from exporter.sms.tolerant import Findings, Unknown
from exporter.translation import Translator

LISTS: Final[Mapping[str, Endpoint[Any]]] = MappingProxyType(
    {"errors": MIGRATION_ERRORS, "task_details": MIGRATION_TASKS, "projects": MIGRATION_PROJECTS}
)
"""The list of which one page shows whether a collector has its permission."""

MAX_NAMES: Final = 20
"""Number of undocumented fields or values that are named."""

MAX_UNIT_FACTOR: Final = 2.0
"""By how much a measured unit may differ from one of the possible units, which differ by 8."""


@dataclass(frozen=True)
class CollectorCheck:
    """Whether a collector can read its data. `result` says what was found; `error` is None if it can."""

    collector: str
    result: Translatable
    error: PollError | None = None


@dataclass(frozen=True)
class LiveFindings:
    """What was learned of the API of one account.

    `unknown_fields` and `unknown_values` count what the API documents neither as a field nor as a value, by path.
    """

    paging: Translatable
    speed_unit: Translatable
    collectors: Sequence[CollectorCheck]
    unknown_fields: Counter[str]
    unknown_values: Counter[Unknown]

    @property
    def failed(self) -> bool:
        """Whether a collector that is on cannot read its data."""
        return any(check.error for check in self.collectors)

    def facts(self, translator: Translator) -> Iterator[tuple[str, str]]:
        """Yield the lines of the report, each with its name."""
        _ = translator.gettext
        yield _("paging"), translator.translate(self.paging)
        yield _("speed unit"), translator.translate(self.speed_unit)
        for check in self.collectors:
            yield _("collector"), f"{check.collector}: {translator.translate(check.result)}"
            if check.error is not None:
                yield _("error"), clean_text(check.error.message)
                yield _("hint"), translator.translate(check.error.hint)
        if self.unknown_fields:
            names = _join(sorted(self.unknown_fields))
            yield _("unknown"), _("fields that the API does not document: %(names)s") % {"names": names}
        if self.unknown_values:
            values = _join([f"{field}={value}" for field, value in sorted(self.unknown_values)])
            yield _("unknown"), _("values that the API does not document: %(values)s") % {"values": values}


def _join(names: Sequence[str]) -> str:
    more = ", …" if len(names) > MAX_NAMES else ""
    return f"{', '.join(clean_text(name) for name in names[:MAX_NAMES])}{more}"


class LiveCheck:
    """Sends the requests for one account, each once; `body` is that of the first page of its list."""

    def __init__(self, client: ListClient, account: AccountSettings, body: bytes) -> None:
        self._client = client
        self._account = account
        self._first = first = Records(SOURCE_SERVERS).page(body)
        self._servers = list(first.records)
        self._fields = find_unknown_fields(_read_rows(body, SOURCE_SERVERS), SourceServer)
        self._values = Counter(first.unknown)

    async def run(self, details: DetailSettings) -> LiveFindings:
        """Return the findings, with the collectors that `details` turns on."""
        paging = await self._detect_paging()
        collectors = [await self._check_collector(name) for name in details.collectors]
        unit = describe_speed_unit(self._servers, self._account.api.migrate_speed_unit)
        return LiveFindings(paging, unit, collectors, self._fields, self._values)

    async def _detect_paging(self) -> Translatable:
        first, configured = self._first, self._account.api.paging
        if not 0 < first.rows < first.count:
            return Translatable("not known: the list has only one page")
        try:
            body = await self._fetch_page(self._client, SOURCE_SERVERS, first.rows)
            second = Records(SOURCE_SERVERS).page(body)
        except PollError as error:
            return Translatable("not known: the second page failed (%(reason)s)", reason=error.reason)
        if {server.id for server in second.records} & {server.id for server in first.records}:
            return Translatable(
                "the second page repeats the first: check for a gateway or proxy that drops query parameters"
            )
        found = "records" if second.rows else "pages"
        self._servers += second.records
        self._fields.update(find_unknown_fields(_read_rows(body, SOURCE_SERVERS), SourceServer))
        self._values.update(second.unknown)
        if configured not in {"auto", found}:
            return Translatable(
                "offsets count %(found)s, but api.paging is %(configured)s", found=found, configured=configured
            )
        return Translatable("offsets count %(found)s", found=found)

    async def _check_collector(self, name: str) -> CollectorCheck:
        try:
            return CollectorCheck(
                name, await (self._check_list(LISTS[name]) if name in LISTS else self._check_result())
            )
        except PollError as error:
            if error.reason == "permission":
                error.hint = DETAIL_COLLECTORS[name].hint(name)
            return CollectorCheck(name, Translatable("failed (%(reason)s)", reason=error.reason), error)

    async def _check_list(self, endpoint: Endpoint[Any]) -> Translatable:
        body = await self._fetch_page(self._client.client.for_list(endpoint, self._client.filters), endpoint, 0)
        page = Records(endpoint).page(body)
        self._add_unknown(endpoint.envelope_key, _read_rows(body, endpoint), endpoint.record_type)
        self._values.update({(f"{endpoint.envelope_key}[].{field}", value): 1 for field, value in page.unknown})
        return Translatable("ok (records: %(count)s)", count=str(page.count))

    async def _check_result(self) -> Translatable:
        """Request the result of one task; a task without a result is enough to see whether the permission is there."""
        tasks = {
            task_id: bool(server.is_consistency_result_exist)
            for server in self._servers
            if (task_id := (server.current_task or NO_TASK).id) and is_task_id(task_id)
        }
        if not tasks:
            return Translatable("not checked: no server has a migration task")
        task_id = max(tasks, key=tasks.__getitem__)
        try:
            body = await self._within_timeout(self._client.client.fetch, get_result_path(task_id), {})
        except PollError as error:
            if error.status == HTTPStatus.NOT_FOUND and not tasks[task_id]:
                return Translatable("ok, no server has a result")
            raise
        parse_consistency_result(body, Findings())
        self._add_unknown(LIST_FIELD, _read_results(body), ConsistencyResult)
        return Translatable("ok")

    def _add_unknown(self, list_name: str, rows: Iterable[object], record_type: type[Record]) -> None:
        unknown = find_unknown_fields(rows, record_type)
        self._fields.update({f"{list_name}[].{path}": count for path, count in unknown.items()})

    async def _fetch_page(self, client: ListClient, endpoint: Endpoint[Any], offset: int) -> bytes:
        return await self._within_timeout(client.page, offset, endpoint.max_page_rows, {})

    async def _within_timeout(self, fetch: Callable[..., Any], *arguments: object) -> bytes:
        timeout = self._account.poll.timeout
        try:
            async with asyncio.timeout(timeout):
                body: bytes = await fetch(*arguments, RetryBudget(0))
        except TimeoutError:
            raise RequestTimeout(f"the API did not answer within {timeout:g} seconds") from None
        return body


def describe_speed_unit(servers: Iterable[SourceServer], configured: str) -> Translatable:
    """Return the unit of the API's speeds that fits its own estimates of the remaining time."""
    measured = [unit for server in servers if (unit := _measure_unit(server)) is not None]
    if not measured:
        return Translatable("not known: no server has a speed and an estimate of its remaining time")
    value, count = median(measured), str(len(measured))
    found, unit = min(SPEED_UNITS.items(), key=lambda item: abs(math.log(value / item[1])))
    if not 1 / MAX_UNIT_FACTOR <= value / unit <= MAX_UNIT_FACTOR:
        return Translatable("not known: the speeds do not fit the estimates of %(count)s servers", count=count)
    if found != configured:
        return Translatable(
            "probably %(found)s, by the estimates of %(count)s servers, but api.migrate-speed-unit is %(configured)s",
            found=found,
            count=count,
            configured=configured,
        )
    return Translatable("probably %(found)s, by the estimates of %(count)s servers", found=found, count=count)


def _measure_unit(server: SourceServer) -> float | None:
    """Return one unit of the speed in bytes per second, if the speed lasts for the estimated time."""
    task = server.current_task or NO_TASK
    left = (server.totalsize or 0) - (server.replicatesize or 0)
    if not task.migrate_speed or not task.remain_seconds or left <= 0:
        return None
    return left / task.remain_seconds / task.migrate_speed


def _read_rows(body: bytes, endpoint: Endpoint[Any]) -> list[object]:
    """Return the records of a page as decoded JSON."""
    content = _load(body)
    rows = content.get(endpoint.envelope_key)
    return rows if isinstance(rows, list) else []


def _read_results(body: bytes) -> list[object]:
    content = _load(body)
    content.pop("task_id", None)
    results = content.get(LIST_FIELD, [content])
    return results if isinstance(results, list) else []


def _load(body: bytes) -> dict[str, Any]:
    with contextlib.suppress(ValueError, RecursionError):
        content = json.loads(body.decode("utf-8", "replace"))
        if isinstance(content, dict):
            return content
    return {}
