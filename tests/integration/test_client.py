"""How the API is read: how often, for how long, and any of its lists."""

import asyncio
import re
from typing import Any

import msgspec
import pytest
from aiohttp import web

from exporter.errors import PollError, RequestTimeout, ServerFault
from exporter.polling.connections import Runtime, account_client
from exporter.simulator import Simulator
from exporter.sms.client import MAX_ATTEMPTS, RetryBudget
from exporter.sms.decoding import Page, Records
from exporter.sms.endpoints import Endpoint
from exporter.sms.model import ListedRecord, TaskState
from exporter.sms.paging import Narrowing, Pager
from programs import serving
from support import NOWHERE, FakeApi, FakeClock, Scrape, Unobserved, account, exporting, fetch, next_poll, scrape

RATE = 8


async def test_the_rate_limit_holds_in_every_second(clock: FakeClock) -> None:
    sent: list[float] = []

    async def page(request: web.Request) -> web.Response:
        sent.append(clock.monotonic())
        offset = int(request.query["offset"])
        records = [{"id": f"s{number}"} for number in range(offset, offset + 200)]
        return web.json_response({"count": 4000, "source_servers": records})

    async with serving(page) as url:
        async with exporting(FakeApi(url), clock, api={"rate_limit": RATE}, polled=False) as service:
            (poller,) = service.pollers
            while await clock.until_asleep() and not poller.polled.is_set():
                clock.advance(await clock.until_asleep())
            _, text, _ = await fetch(f"{service.urls[0]}/metrics")
    assert Scrape(text).total("source_servers") == 4000
    assert len(sent) == 20
    assert max(sum(start <= other <= start + 1 for other in sent) for start in sent) == RATE


class ImpatientClock(FakeClock):
    """Time that advances by what is slept."""

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds)
        await asyncio.sleep(0)


async def test_a_request_that_fails_each_time_fails_with_the_failure_of_its_last_attempt() -> None:
    attempts = 0

    async def fail(_: web.Request) -> web.Response:
        nonlocal attempts
        attempts += 1
        return web.json_response({"code": f"E{attempts}"}, status=503)

    async with serving(fail) as url:
        options, runtime = account(api={"endpoint": url}, auth={"token": "t"}), Runtime(ImpatientClock(), {}, NOWHERE)
        async with account_client(options, Unobserved(), runtime) as (client, _):
            with pytest.raises(ServerFault) as failure:
                await client.page(0, 200, {}, budget := RetryBudget(20))
    assert (attempts, failure.value.code) == (MAX_ATTEMPTS, "E4")
    # The retries that were sent, and no others, count.
    assert [budget.spend() for _ in range(20)].count(True) == 20 - (MAX_ATTEMPTS - 1)


async def test_a_poll_that_takes_too_long_as_a_whole_is_a_timeout(clock: FakeClock) -> None:
    async with Simulator(servers=450, clock=clock) as simulator:
        simulator.faults.add("hang,after=1")
        async with exporting(simulator, clock, poll={"timeout": "300ms"}) as service:
            seen = await scrape(service.urls[0])
            (account,) = service.accounts
    assert seen.value("exporter_poll_failures_total", reason="timeout") == 1
    assert account.state.last_poll is not None
    assert "not complete after 0.3 seconds" in str(account.state.last_poll.error)
    assert seen.values("source_servers") == {}


@pytest.mark.parametrize(
    "records",
    [
        [{}, {}],
        [{"server_id": "a"}, {"server_id": "b"}],
        [None, None],
        [{"id": "a"}, {"id": ""}, {"id": None}],
    ],
)
async def test_a_list_of_which_most_records_have_no_id_fails_the_poll_and_the_last_list_is_kept(
    records: list[Any], clock: FakeClock
) -> None:
    answers = [[{"id": "a"}, {"id": "b"}], records]

    async def page(_: web.Request) -> web.Response:
        answer = answers.pop(0)
        return web.json_response({"count": len(answer), "source_servers": answer})

    async with serving(page) as url, exporting(FakeApi(url), clock) as service:
        await next_poll(clock)
        seen = await scrape(service.urls[0])
        (polled,) = service.accounts
    assert (seen.value("up"), seen.total("source_servers")) == (0, 2)
    assert seen.value("exporter_poll_failures_total", reason="bad_response") == 1
    assert polled.state.last_poll is not None
    assert "have no ID that can be read" in str(polled.state.last_poll.error)


async def test_a_password_that_a_proxy_refuses_is_sent_once_in_five_minutes(clock: FakeClock) -> None:
    sent: list[float] = []

    async def refuse(request: web.Request) -> web.Response:
        assert request.headers["Proxy-Authorization"]
        sent.append(clock.monotonic())
        return web.Response(status=407)

    async with serving(refuse) as url:
        proxy = url.replace("http://", "http://user:wrong@")
        api, poll = {"proxy": proxy}, {"interval": "60s"}
        async with exporting(FakeApi("http://sms.example.invalid"), clock, api=api, poll=poll) as service:
            await next_poll(clock)
            failures = (await scrape(service.urls[0])).value("exporter_poll_failures_total", reason="connection")
    assert [moment - sent[0] for moment in sent] == [0, 300]
    assert failures == 2


async def test_a_speed_of_negative_zero_is_shown_as_zero(clock: FakeClock) -> None:
    async def page(_: web.Request) -> web.Response:
        task = {"id": "t", "migrate_speed": -0.0, "compress_rate": -0.0}
        return web.json_response({"count": 1, "source_servers": [{"id": "a", "current_task": task}]})

    async with serving(page) as url, exporting(FakeApi(url), clock) as service:
        text = (await scrape(service.urls[0])).text
        _, server_page, _ = await fetch(f"{service.urls[0]}/servers/default/a")
        _, table, _ = await fetch(f"{service.urls[0]}/servers.csv")
    assert "task_migrate_speed_bytes_per_second" in text
    assert "Compression" in server_page
    assert not [line for line in (text + server_page + table).splitlines() if re.search(r"[> ,]-0\b(?!-)", line)]


@pytest.mark.parametrize(
    ("status", "reason", "hint"), [(429, "throttled", "poll.interval"), (503, "server_error", "ticket")]
)
async def test_a_poll_that_ends_by_its_timeout_while_a_request_is_retried_has_the_reason_of_the_last_answer(
    status: int, reason: str, hint: str, clock: FakeClock
) -> None:
    async def page(request: web.Request) -> web.Response:
        if request.query["offset"] == "0":
            records = [{"id": f"s{number}"} for number in range(200)]
            return web.json_response({"count": 400, "source_servers": records})
        return web.json_response({}, status=status, headers={"Retry-After": "2", "X-Request-Id": "r7"})

    async with serving(page) as url:
        async with exporting(FakeApi(url), clock, poll={"timeout": "200ms"}) as service:
            seen = await scrape(service.urls[0])
            (polled,) = service.accounts
    assert seen.value("exporter_poll_failures_total", reason=reason) == 1
    assert polled.state.last_poll is not None
    error = polled.state.last_poll.error
    assert error is not None
    assert error.message.startswith(
        "the poll was not complete after 0.2 seconds, with retries because the API answered"
    )
    assert (error.status, error.request_id, error.retry_after) == (status, "r7", 2)
    assert hint in error.hint


async def read_error_of_poll(url: str) -> PollError | None:
    """Poll an API without waiting between retries, for at most 0.3 seconds; return the error of the poll."""
    async with exporting(FakeApi(url), ImpatientClock(), poll={"timeout": "300ms"}, polled=False) as service:
        (poller,) = service.pollers
        await poller.polled.wait()
        (polled,) = service.accounts
        assert polled.state.last_poll is not None
        return polled.state.last_poll.error


async def test_a_poll_that_ends_by_its_timeout_while_a_request_is_sent_again_has_the_reason_of_the_last_answer() -> (
    None
):
    answers = [web.json_response({}, status=429), web.json_response({}, status=503)]

    async def page(_: web.Request) -> web.Response:
        if not answers:
            await asyncio.Event().wait()
        return answers.pop(0)

    async with serving(page) as url:
        assert type(await read_error_of_poll(url)) is ServerFault


async def test_a_poll_whose_retries_succeeded_before_it_timed_out_is_a_timeout() -> None:
    received: list[str] = []

    async def page(request: web.Request) -> web.Response:
        received.append(request.query["offset"])
        if len(received) == 1:
            return web.json_response({}, status=429)
        if len(received) == 3:
            await asyncio.Event().wait()
        records = [{"id": f"s{number}"} for number in range(200)]
        return web.json_response({"count": 400, "source_servers": records})

    async with serving(page) as url:
        error = await read_error_of_poll(url)
    assert received[:3] == ["0", "0", "200"]
    assert isinstance(error, RequestTimeout)
    assert error.message == "the poll was not complete after 0.3 seconds"


async def test_a_filter_is_sent_in_the_form_that_is_signed(clock: FakeClock) -> None:
    sent: list[str] = []

    async def page(request: web.Request) -> web.Response:
        sent.append(request.rel_url.raw_query_string)
        return web.json_response({"count": 0, "source_servers": []})

    async with serving(page) as url, exporting(FakeApi(url), clock, filter={"name": "a b+c/ü~%&="}):
        assert sent == ["limit=200&name=a%20b%2Bc%2F%C3%BC~%25%26%3D&offset=0"]


class MigrationTask(ListedRecord, frozen=True, kw_only=True, gc=False):
    """A record of /v3/tasks, as far as this test reads it."""

    state: TaskState | None = None
    error_json: str | None = None


class MigrationError(ListedRecord, frozen=True, kw_only=True, gc=False):
    """A record of /v3/errors: its identity is that of the source server."""

    id: str = msgspec.field(name="source_id")
    error_json: str | None = None


TASKS = Endpoint(
    path="/v3/tasks",
    envelope_key="tasks",
    record_type=MigrationTask,
    noun="tasks",
    filters=frozenset({"enterprise_project_id"}),
    splits={"state": ("RUNNING", "MIGRATE_FAIL")},
)
ERRORS = Endpoint("/v3/errors", "migration_errors", MigrationError, noun="migration errors", max_page_rows=100)


async def test_other_lists_of_the_api_are_read_by_the_same_code(clock: FakeClock) -> None:
    requests: list[tuple[str, dict[str, str]]] = []
    lists: dict[str, tuple[str, list[dict[str, Any]]]] = {
        "/v3/tasks": ("tasks", [{"id": f"task-{n}", "state": "RUNNING", "total_time": n} for n in range(250)]),
        "/v3/errors": ("migration_errors", [{"source_id": f"s{n}", "error_json": "SMS.0515"} for n in range(150)]),
    }
    lists["/v3/tasks"][1][7] = {"id": "odd", "state": "WAITING", "error_json": 5}

    async def page(request: web.Request) -> web.Response:
        requests.append((request.path, dict(request.query)))
        key, records = lists[request.path]
        offset, limit = int(request.query["offset"]), int(request.query["limit"])
        return web.json_response({"count": len(records), key: records[offset : offset + limit]})

    async def read(endpoint: Endpoint[Any], url: str) -> Any:
        options = account(api={"endpoint": url}, auth={"token": "t"})
        filters = {"state": "error", "enterprise_project_id": "p1"}
        async with account_client(options, Unobserved(), Runtime(clock, {}, NOWHERE)) as (sources, _):
            client, records = sources.client.for_list(endpoint, filters), Records(endpoint)

            async def fetch_page(offset: int, limit: int, narrowing: Narrowing) -> Page[Any]:
                return records.page(await client.page(offset, limit, narrowing, RetryBudget(0)))

            return await Pager(endpoint, fetch_page, concurrency=2).read()

    async with serving(page) as url:
        tasks, errors = await read(TASKS, url), await read(ERRORS, url)
    assert [task.id for task in tasks.records] == [record["id"] for record in lists["/v3/tasks"][1]]
    assert tasks.records[7] == MigrationTask(id="odd", state="WAITING", error_json="5")
    assert tasks.unknown == {("state", "WAITING"): 1}
    assert {error.id for error in errors.records} == {f"s{n}" for n in range(150)}
    # A filter for source servers is not sent to a list that does not accept it.
    assert requests == [
        ("/v3/tasks", {"enterprise_project_id": "p1", "limit": "200", "offset": "0"}),
        ("/v3/tasks", {"enterprise_project_id": "p1", "limit": "200", "offset": "200"}),
        ("/v3/errors", {"limit": "100", "offset": "0"}),
        ("/v3/errors", {"limit": "100", "offset": "100"}),
    ]
