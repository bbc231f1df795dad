"""The sequences of states that a server passes through, as data.

One run is a beginning, a set-up, a copy, a synchronisation, a cut-over and an end, each chosen at random, by weight,
from the variants below. Durations are simulated minutes: at the default acceleration of 60 they are real seconds. With
these weights a fleet of 250 has nearly every state at any moment.
"""

from random import Random
from typing import Final, TypeAlias

from msgspec import Struct


class Leg(Struct, frozen=True):
    """A state that lasts `shortest` to `longest` simulated minutes.

    With `upto` the state lasts until this share of the server's bytes is copied instead. `connected` says whether the
    agent is connected, `checked` whether it has reported its environment.
    """

    state: str
    cycle: str
    shortest: float = 0.0
    longest: float = 0.0
    upto: float | None = None
    connected: bool = True
    checked: bool = True


Variants: TypeAlias = tuple[tuple[float, tuple[Leg, ...]], ...]
"""Sequences of legs with their weights."""

_WAITING: Final = Leg("waiting", "checking", 60, 180)
_SETTING_UP: Final = Leg("initialize", "setting", 40, 120)
_COPIED: Final = Leg("replicate", "replicating", upto=1.0)
_SYNCING: Final = Leg("syncing", "syncing", 60, 180)
_CUTTING_OVER: Final = Leg("cutovering", "cutovering", 50, 120)

_DRILL: Final = (
    _SYNCING,
    Leg("cloning", "syncing", 70, 130),
    Leg("premigready", "syncing", 80, 160),
)
_CLEARING: Final = Leg("clearing", "syncing", 60, 110)

BEGINNINGS: Final[Variants] = (
    (0.62, (_WAITING,)),
    (0.16, (Leg("unavailable", "checking", 150, 360), _WAITING)),
    (0.08, (Leg("unavailable", "checking", 150, 360, connected=False, checked=False), _WAITING)),
    (0.14, (_WAITING, Leg("waiting", "checking", 60, 240, connected=False), _WAITING)),
)

SET_UPS: Final[Variants] = (
    (0.94, (_SETTING_UP,)),
    (0.06, (_SETTING_UP, Leg("error", "setting", 120, 240), _SETTING_UP)),
)

COPIES: Final[Variants] = (
    (0.46, (_COPIED,)),
    (
        0.27,
        (
            Leg("replicate", "replicating", upto=0.45),
            Leg("stopping", "replicating", 80, 160),
            Leg("stopped", "replicating", 60, 180),
            _COPIED,
        ),
    ),
    (
        0.10,
        (
            Leg("replicate", "replicating", upto=0.6),
            Leg("error", "replicating", 150, 300),
            _COPIED,
        ),
    ),
    (
        0.07,
        (
            Leg("replicate", "replicating", upto=0.3),
            Leg("replicate", "replicating", 90, 240, connected=False),
            _COPIED,
        ),
    ),
    (0.09, (Leg("replicate", "replicating", upto=0.8), Leg("skipping", "replicating", 200, 420), _COPIED)),
    # Stalled: connected and replicating, but nothing is replicated for longer than the alerts wait.
    (
        0.01,
        (
            Leg("replicate", "replicating", upto=0.5),
            Leg("replicate", "replicating", 2700, 3600),
            _COPIED,
        ),
    ),
)

SYNCHRONISATIONS: Final[Variants] = (
    (0.44, (_SYNCING,)),
    (
        0.22,
        (
            *_DRILL,
            Leg("premiged", "syncing", 90, 200),
            _CLEARING,
            Leg("cleared", "syncing", 70, 150),
            _SYNCING,
        ),
    ),
    (
        0.12,
        (
            *_DRILL,
            Leg("premigfailed", "syncing", 200, 360),
            _CLEARING,
            Leg("cleared", "syncing", 70, 150),
            _SYNCING,
        ),
    ),
    (
        0.12,
        (
            *_DRILL,
            Leg("premiged", "syncing", 90, 200),
            _CLEARING,
            Leg("clearfailed", "syncing", 200, 360),
            _SYNCING,
        ),
    ),
    (0.06, (_SYNCING, Leg("error", "syncing", 150, 300), _SYNCING)),
    (0.04, (_SYNCING, Leg("syncing", "syncing", 90, 240, connected=False), _SYNCING)),
)

CUT_OVERS: Final[Variants] = (
    (0.95, (_CUTTING_OVER,)),
    (0.05, (_CUTTING_OVER, Leg("error", "cutovering", 120, 240), _CUTTING_OVER)),
)

ENDS: Final[Variants] = (
    (0.5, (Leg("finished", "cutovered", 120, 320),)),
    (0.5, (Leg("finished", "cutovered", 120, 320), Leg("deleting", "cutovered", 50, 100))),
)

PARTS: Final = (BEGINNINGS, SET_UPS, COPIES, SYNCHRONISATIONS, CUT_OVERS, ENDS)
_WEIGHTS: Final = tuple([weight for weight, _ in variants] for variants in PARTS)
_LEGS: Final = tuple([legs for _, legs in variants] for variants in PARTS)


def choose_run(rng: Random) -> list[Leg]:
    """Return random legs of one run, from registration to the end of the migration."""
    run: list[Leg] = []
    for legs, weights in zip(_LEGS, _WEIGHTS, strict=True):
        run.extend(rng.choices(legs, weights)[0])
    return run
