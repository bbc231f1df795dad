"""What is derived from the polls of an account."""

from dataclasses import replace

from exporter.errors import ServerFault
from exporter.polling.state import Account, Poll
from exporter.settings import DetailSettings
from support import NOW, account


def test_an_account_is_paused_if_its_next_poll_is_more_than_a_second_after_the_interval() -> None:
    polled = Account(account(poll={"interval": "60s"}))
    assert polled.paused_until is None
    poll = Poll(NOW - 10, 10.0, 1, ServerFault("down"))
    assert poll.ended_at == NOW
    polled.state.record(poll)
    for pause, is_paused in ((60.0, False), (61.0, False), (61.5, True), (300.0, True)):
        polled.state.next_poll_at = NOW + pause
        assert polled.paused_until == (NOW + pause if is_paused else None)
    polled.state.record(replace(poll, error=None))
    assert polled.paused_until is None


def test_a_collector_reads_at_a_multiple_of_the_interval_and_has_as_much_more_time() -> None:
    polled = Account(account(poll={"interval": "60s", "timeout": "20s"}), details=DetailSettings(("errors",), 5))
    assert (polled.details_interval, polled.details_timeout) == (300, 100)
