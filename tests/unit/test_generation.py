"""What one configuration serves, and what is prepared before it replaces another."""

from exporter.exposition.bodies import Exposition, View
from exporter.exposition.generation import Generation
from exporter.families import select_collectors
from exporter.polling.state import Account, Poll
from exporter.settings import CollectorSettings
from support import NOW, account, server, settings, snapshot

ALL = frozenset(collector.name for collector in select_collectors(CollectorSettings()))


def generation(*names: str, was_ready: bool = False, **switches: bool) -> Generation:
    accounts = tuple(Account(account(account={"name": name})) for name in names)
    exposition = Exposition(select_collectors(CollectorSettings(**switches)), accounts)
    return Generation(settings(), accounts, exposition, was_ready)


def test_an_exporter_is_ready_when_each_account_was_polled_or_has_saved_state() -> None:
    current = generation("one", "two")
    assert not current.ready
    current.accounts[0].state.record(Poll(NOW, 1.0, 1))
    assert not current.ready
    current.accounts[1].state.snapshot = snapshot(server("a"), account="two")
    assert current.ready


def test_an_exporter_that_was_ready_stays_ready_with_other_accounts() -> None:
    assert generation("one", was_ready=True).ready


async def rendered_views(current: Generation, previous: Generation, *requested: View) -> set[View]:
    """Return the views that are rendered before the configuration is replaced."""
    for view in requested:
        await previous.exposition.body(view, NOW)
    await current.render_views_of(previous, NOW)
    return set(current.exposition.recent_views(NOW))


async def test_the_views_of_the_accounts_that_stay_are_rendered_before_they_are_requested() -> None:
    views = [View(ALL, name, "text") for name in (None, "one", "two")]
    assert await rendered_views(generation("two", "three"), generation("one", "two"), *views) == {views[0], views[2]}


async def test_a_view_of_all_collectors_follows_the_collectors_that_are_on() -> None:
    fewer = ALL - {"tasks", "checks"}
    for before, after in ((ALL, fewer), (fewer, ALL)):
        previous, current = (generation("one", tasks="tasks" in on, checks="checks" in on) for on in (before, after))
        assert await rendered_views(current, previous, View(before, None, "text")) == {View(after, None, "text")}


async def test_a_view_of_some_collectors_keeps_those_that_are_still_on() -> None:
    some = View(frozenset({"servers", "tasks"}), None, "text", frozenset({"huaweicloud_sms_source_servers"}))
    (rendered,) = await rendered_views(generation("one", tasks=False), generation("one"), some)
    assert (rendered.collectors, rendered.syntax, rendered.names) == (frozenset({"servers"}), some.syntax, some.names)


async def test_a_snapshot_is_rendered_before_its_account_is_served() -> None:
    current, previous = generation("one"), generation("one")
    current.accounts[0].state.snapshot = read = snapshot(server("a"), account="one")
    view = View(ALL, None, "text")
    await previous.exposition.body(view, NOW)
    await current.render_views_of(previous, NOW)
    assert (await current.exposition.body(view, NOW)).snapshots == (read,)
