"""The progress of each server over the last polls, and how much memory it takes."""

import tracemalloc
from dataclasses import replace

from exporter.polling.progress import (
    MAX_BYTES_PER_SERVER,
    MAX_SAMPLES,
    MAX_TRANSITIONS,
    ProgressHistory,
    Sample,
    StateChange,
)
from exporter.polling.snapshot import Snapshot, Transition
from support import NOW, server, snapshot


def at(poll: int, *servers: object, **fields: object) -> Snapshot:
    return replace(snapshot(*servers), read_at=NOW + 60 * poll, **fields)  # type: ignore[arg-type]


def test_a_sample_is_kept_per_change() -> None:
    history = ProgressHistory()
    previous = None
    for poll, replicated in enumerate((0, 2048, 2048, 4096)):
        task = {"migrate_speed": 8.0}
        current = at(poll, server("a", replicatesize=replicated, current_task=task))
        history.add(current, previous)
        previous = current
    assert history.samples("a") == [
        Sample(NOW, 0, 1_000_000),
        Sample(NOW + 60, 2048, 1_000_000),
        Sample(NOW + 180, 4096, 1_000_000),
    ]
    assert history.samples("b") == ()
    assert history.transitions("b") == ()


def test_a_missing_size_is_not_a_sample() -> None:
    history = ProgressHistory()
    for poll, replicated in enumerate((2048, None, 2048)):
        history.add(at(poll, server("a", replicatesize=replicated)), None)
    assert history.samples("a") == [Sample(NOW, 2048, 0)]


def test_transitions_are_kept_newest_first() -> None:
    history = ProgressHistory()
    for poll, (before, after) in enumerate([("waiting", "replicate"), ("replicate", "new")]):
        changed = server("a", state=after)
        history.add(at(poll, changed, transitions=(Transition(changed, before, after),)), None)
    assert history.transitions("a") == [
        StateChange(NOW + 60, "replicate", "other"),
        StateChange(NOW, "waiting", "replicate"),
    ]


def test_a_server_that_no_longer_exists_is_forgotten() -> None:
    history = ProgressHistory()
    first = at(0, server("a", replicatesize=1), server("b", replicatesize=1))
    history.add(first, None)
    history.add(at(1, first.servers[1]), first)
    assert history.samples("a") == ()
    assert len(history.samples("b")) == 1


def test_the_history_of_a_server_takes_at_most_one_kilobyte() -> None:
    servers, polls = 300, MAX_SAMPLES + MAX_TRANSITIONS + 20
    ids = [f"{number:032d}" for number in range(servers)]
    tracemalloc.start()
    try:
        history = ProgressHistory()
        before = tracemalloc.take_snapshot()
        for poll in range(polls):
            changed = [server(name, replicatesize=poll, state="syncing") for name in ids]
            moved = tuple(Transition(one, "replicate", "syncing") for one in changed)
            history.add(at(poll, *changed, transitions=moved), None)
            del changed, moved
        after = tracemalloc.take_snapshot()
    finally:
        tracemalloc.stop()
    used = sum(difference.size_diff for difference in after.compare_to(before, "filename"))
    assert len(history.samples(ids[0])) == MAX_SAMPLES
    assert len(history.transitions(ids[0])) == MAX_TRANSITIONS
    assert used / servers <= MAX_BYTES_PER_SERVER


def test_a_server_that_changed_after_one_that_did_not_gets_its_sample() -> None:
    history = ProgressHistory()
    first = at(0, server("a", replicatesize=1), server("b", replicatesize=1))
    history.add(first, None)
    history.add(at(1, first.servers[0], server("b", replicatesize=2)), first)
    assert len(history.samples("a")) == 1
    assert [sample.replicated for sample in history.samples("b")] == [1, 2]


def test_a_history_that_begins_with_a_restored_list_has_its_unchanged_servers() -> None:
    history = ProgressHistory()
    restored = at(0, server("a", replicatesize=1))
    history.add(at(1, *restored.servers), restored)
    assert len(history.samples("a")) == 1
