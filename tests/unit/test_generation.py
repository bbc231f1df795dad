"""What one configuration serves, and what is prepared before it replaces another."""

from dataclasses import replace

from exporter.exposition.bodies import Exposition, View
from exporter.exposition.generation import Generation
from exporter.families import Collector, SnapshotFamily, select_collectors
from exporter.families.family import Sample
from exporter.polling.snapshot import Snapshot
from exporter.polling.state import Account, Poll
from exporter.settings import CollectorSettings
from support import NOW, account, server, settings, snapshot

ALL = frozenset(collector.name for collector in select_collectors(CollectorSettings()))


def generation(*names: str, **switches: bool) -> Generation:
    accounts = tuple(Account(account(account={"name": name})) for name in names)
    return Generation(settings(), accounts, Exposition(select_collectors(CollectorSettings(**switches)), accounts))


def test_an_exporter_is_ready_when_each_account_was_polled_or_has_saved_state() -> None:
    current = generation("one", "two")
    assert not current.ready
    current.accounts[0].state.record(Poll(NOW, 1.0, 1))
    assert not current.ready
    current.accounts[1].state.snapshot = snapshot(server("a"), account="two")
    assert current.ready


def test_an_exporter_that_was_ready_stays_ready_with_other_accounts() -> None:
    assert not generation("one").ready
    assert replace(generation("one"), was_ready=True).ready


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


async def test_a_snapshot_is_rendered_before_its_account_is_served_even_if_nobody_scrapes() -> None:
    rendered: list[Snapshot] = []

    def samples(shown: Snapshot) -> list[Sample]:
        rendered.append(shown)
        return []

    one = Account(account(account={"name": "one"}))
    one.state.snapshot = snapshot(server("a"), account="one")
    collector = Collector("fleet", (SnapshotFamily("thing", "Help.", samples),))
    current = Generation(settings(), (one,), Exposition([collector], (one,)))
    await current.render_views_of(generation(), NOW)
    assert rendered == [one.state.snapshot]
