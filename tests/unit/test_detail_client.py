"""The requests of a collector that reads more than the list of source servers."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from answers import Answers, ImpatientClock, detail_client
from exporter.errors import Inconsistent, PollError, RequestTimeout, ServerFault
from exporter.polling.detail_client import DetailClient
from exporter.polling.poller import MAX_RETRIES
from exporter.sms.endpoints import MIGRATION_ERRORS
from exporter.sms.tolerant import Findings
from support import FakeClock


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
def clock() -> ImpatientClock:
    return ImpatientClock()


@pytest.fixture
def client(answers: Answers, clock: FakeClock) -> DetailClient:
    return detail_client(answers, clock, {"state": "error", "enterprise_project_id": "p1"})


def ignore() -> None: ...


async def test_a_list_is_requested_with_the_filters_that_it_accepts(client: DetailClient, answers: Answers) -> None:
    answers.answer_errors({"source_id": "s1"})
    with client.reading(ignore, 60):
        listing = await client.read_list(MIGRATION_ERRORS)
    assert [record.id for record in listing.records] == ["s1"]
    assert [dict(request.url.query) for request in answers.requests] == [
        {"enterprise_project_id": "p1", "limit": "100", "offset": "0"}
    ]


async def test_the_pages_of_a_list_are_requested_one_after_the_other(client: DetailClient, answers: Answers) -> None:
    answers.answer_errors(*({"source_id": f"s{number}"} for number in range(100)))
    answers.content = {**answers.content, "count": 400}
    with client.reading(ignore, 60), pytest.raises(Inconsistent):
        await client.read_list(MIGRATION_ERRORS)
    assert len(answers.requests) > 1
    assert answers.concurrent == 1


async def test_what_several_responses_left_out_is_summed_and_taken_once(client: DetailClient, answers: Answers) -> None:
    answers.answer_errors({"source_id": "s1", "error_json": []}, {"source_id": "s1"}, {"source_id": "s1"}, {})
    with client.reading(ignore, 60):
        for _ in range(2):
            await client.read_list(MIGRATION_ERRORS)
        client.left_out.add_findings(Findings(Counter({"size": 5})))
    left_out = client.take_left_out()
    assert (left_out.duplicates, left_out.invalid) == (4, 2)
    assert (left_out.unreadable["size"], left_out.unreadable.total()) == (5, 7)
    nothing = client.take_left_out()
    assert (nothing.duplicates, nothing.invalid, nothing.unreadable) == (0, 0, {})


async def test_each_reading_has_retries_of_its_own(client: DetailClient, answers: Answers) -> None:
    answers.status = 503
    attempts = []
    for _ in range(2):
        answers.requests.clear()
        with client.reading(ignore, 3600):
            for _ in range(MAX_RETRIES):
                with pytest.raises(ServerFault):
                    await client.read_object("/v3/tasks/t1", "the task")
        attempts.append(len(answers.requests))
    assert attempts[0] == attempts[1]
    assert MAX_RETRIES < attempts[0] <= 2 * MAX_RETRIES


def read_object(client: DetailClient) -> Any:
    return client.read_object("/v3/tasks/t1", "the task")


def read_list(client: DetailClient) -> Any:
    return client.read_list(MIGRATION_ERRORS)


@pytest.mark.parametrize("read", [read_object, read_list])
async def test_each_answer_is_reported_and_a_reading_knows_whether_it_had_any(
    read: Callable[[DetailClient], Any], client: DetailClient, answers: Answers
) -> None:
    answers.answer_errors({"source_id": "s1"})
    accepted: list[None] = []
    had_answer = []
    for status in (200, 503):
        answers.status = status
        with client.reading(lambda: accepted.append(None), 60):
            had_answer.append(client.has_answer)
            try:
                await read(client)
            except PollError:
                assert status == 503
            had_answer.append(client.has_answer)
    assert had_answer == [False, True, False, False]
    assert len(accepted) == 1


@pytest.mark.parametrize("read", [read_object, read_list])
async def test_a_reading_without_any_time_left_is_a_timeout(
    read: Callable[[DetailClient], Any], client: DetailClient, clock: FakeClock, answers: Answers
) -> None:
    answers.answer_errors({"source_id": "s1"})
    with client.reading(ignore, 60):
        await read(client)
        clock.advance(60)
        with pytest.raises(RequestTimeout, match=r"^(the task|the list of .*) was not complete after 60 seconds$"):
            await read(client)


async def test_there_is_time_for_a_further_request_in_the_first_half_of_a_reading(
    client: DetailClient, clock: FakeClock
) -> None:
    with client.reading(ignore, 60):
        has_time = [client.has_time]
        for passes in (30, 0.125):
            clock.advance(passes)
            has_time.append(client.has_time)
    assert has_time == [True, True, False]


async def test_equal_records_of_two_readings_are_the_same_object(client: DetailClient, answers: Answers) -> None:
    """An unchanged record is neither compared nor rendered again."""
    answers.answer_errors({"source_id": "s1"}, {"source_id": "s2"})
    readings: list[Sequence[object]] = []
    for _ in range(3):
        with client.reading(ignore, 60):
            readings.append((await client.read_list(MIGRATION_ERRORS)).records)
    assert all(now is before for now, before in zip(readings[2], readings[0], strict=True))
