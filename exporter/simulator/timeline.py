"""The complete plan of a server: phases and transfer steps, from which its state at any moment follows.

A plan is a few consecutive runs and repeats forever. All times are real seconds from the start of the plan. Speeds are
in Mbit/s as reported, and bytes are what such a speed transfers in real time. Acceleration only shortens the plan, and
with it the sizes.
"""

from bisect import bisect_right
from collections.abc import Sequence
from random import Random
from typing import Final

from msgspec import Struct

from exporter.simulator.routes import Leg, choose_run

BYTES_PER_MEGABIT: Final = 125_000
RUNS: Final = 2
"""Number of runs in a plan before it repeats."""

_COPY_MINUTES: Final = (180.0, 900.0)
_STEP_MINUTES: Final = (25.0, 90.0)
_BASE_SPEEDS: Final = (120.0, 420.0)
_SYNC_SPEEDS: Final = (4.0, 40.0)
_LIMITS: Final = (0, 0, 0, 0, 0, 100, 200, 300)


class Phase(Struct, frozen=True, gc=False):
    """A period in one state.

    `since_state`, `since_cycle` and `since_connection` are the times of the last change of each. `task_start` is None
    if the server has no task yet. `total` is the number of bytes to replicate, and `run` the index of the run in the
    plan.
    """

    start: float
    seconds: float
    leg: Leg
    since_state: float
    since_cycle: float
    since_connection: float
    task_start: float | None
    total: int
    run: int


class Step(Struct, frozen=True, gc=False):
    """A period at one speed (Mbit/s, 0 if nothing is transferred), with `replicated` bytes at its start."""

    start: float
    speed: float
    replicated: float
    phase: Phase


class Position(Struct, frozen=True, gc=False):
    """A position in a plan: `origin` is the start of the current repetition, in seconds since the epoch."""

    phase: Phase
    speed: float
    replicated: int
    elapsed: float
    origin: float
    lap: int

    @property
    def progress(self) -> float:
        """The elapsed share of the phase, 0 to 1."""
        return (self.elapsed - self.phase.start) / self.phase.seconds


class Plan:
    """The phases of one server, repeated forever.

    `size` is the number of bytes of the first copy, `speed_limit` is in Mbit/s (0: none). `offset` is a random position
    in the plan, in seconds from its start.
    """

    __slots__ = ("_runs", "_starts", "_steps", "offset", "period", "size", "speed_limit")

    def __init__(self, rng: Random, *, acceleration: float) -> None:
        minute = 60.0 / acceleration
        self.speed_limit = rng.choice(_LIMITS)
        base = rng.uniform(*_BASE_SPEEDS)
        mean = min(base, self.speed_limit) if self.speed_limit else base
        self.size = int(mean * BYTES_PER_MEGABIT * rng.uniform(*_COPY_MINUTES) * minute)
        builder = _Builder(rng, self.size, base, self.speed_limit, minute)
        for run in range(RUNS):
            builder.add_run(run)
        self._steps = builder.steps
        self._starts = [step.start for step in self._steps]
        self._runs = [[phase for phase in builder.phases if phase.run == run] for run in range(RUNS)]
        self.period = builder.now
        self.offset = rng.random() * self.period

    def phases(self, run: int) -> Sequence[Phase]:
        """Return the phases of a run, in order."""
        return self._runs[run]

    def at(self, moment: float, *, epoch: float, offset: float) -> Position:
        """Return the position at a moment if it was `offset` at `epoch`; both times are in seconds since the epoch."""
        lap, elapsed = divmod(moment - epoch + offset, self.period)
        step = self._steps[bisect_right(self._starts, elapsed) - 1]
        moved = (elapsed - step.start) * step.speed * BYTES_PER_MEGABIT
        return Position(
            phase=step.phase,
            speed=step.speed,
            replicated=min(int(step.replicated + moved), step.phase.total),
            elapsed=elapsed,
            origin=moment - elapsed,
            lap=int(lap),
        )


class _Builder:
    """Appends runs to a plan; `now` is the length of the plan so far."""

    def __init__(self, rng: Random, size: int, base: float, limit: int, minute: float) -> None:
        self.now = 0.0
        self.steps: list[Step] = []
        self.phases: list[Phase] = []
        self._rng = rng
        self._size = size
        self._base = base
        self._limit = limit
        self._minute = minute

    def add_run(self, run: int) -> None:
        """Append one run, from registration to the end of the migration."""
        replicated = 0.0
        total = self._size
        task_start = None
        for leg in choose_run(self._rng):
            if leg.state == "initialize" and task_start is None:
                task_start = self.now
            moves = self._moves(leg, replicated)
            moved = sum(seconds * speed for seconds, speed in moves) * BYTES_PER_MEGABIT
            if leg.state == "syncing":
                # All changes of the source are replicated when the synchronisation ends.
                total = round(replicated + moved)
            self._add(leg, moves, replicated, total=total, task_start=task_start, run=run)
            replicated = replicated if leg.upto is None else leg.upto * self._size
            if leg.state == "syncing":
                replicated = total

    def _add(
        self,
        leg: Leg,
        moves: list[tuple[float, float]],
        replicated: float,
        *,
        total: int,
        task_start: float | None,
        run: int,
    ) -> None:
        # A plan ends connected and cut over, and begins in checking, so its first phase changes all three.
        before = self.steps[-1].phase if self.steps else None
        phase = Phase(
            start=self.now,
            seconds=sum(seconds for seconds, _ in moves),
            leg=leg,
            since_state=before.since_state if before and before.leg.state == leg.state else self.now,
            since_cycle=before.since_cycle if before and before.leg.cycle == leg.cycle else self.now,
            since_connection=(
                before.since_connection if before and before.leg.connected == leg.connected else self.now
            ),
            task_start=task_start,
            total=total,
            run=run,
        )
        self.phases.append(phase)
        for seconds, speed in moves:
            self.steps.append(Step(self.now, speed, replicated, phase))
            replicated += seconds * speed * BYTES_PER_MEGABIT
            self.now += seconds

    def _moves(self, leg: Leg, replicated: float) -> list[tuple[float, float]]:
        """Return the leg as pairs of real seconds and Mbit/s, at least one."""
        if leg.upto is not None:
            return self._copying(leg.upto * self._size - replicated)
        seconds = self._rng.uniform(leg.shortest, leg.longest) * self._minute
        if leg.state != "syncing" or not leg.connected:
            return [(seconds, 0.0)]
        steps = max(1, round(seconds / (_STEP_MINUTES[0] * self._minute)))
        return [(seconds / steps, round(self._rng.uniform(*_SYNC_SPEEDS), 1)) for _ in range(steps)]

    def _copying(self, left: float) -> list[tuple[float, float]]:
        moves = []
        # Less than one byte is a rounding error, not a step.
        while left >= 1.0:
            speed = self._base * self._rng.uniform(0.6, 1.4)
            speed = round(min(speed, self._limit) if self._limit else speed, 1)
            rate = speed * BYTES_PER_MEGABIT
            seconds = min(self._rng.uniform(*_STEP_MINUTES) * self._minute, left / rate)
            moves.append((seconds, speed))
            left -= seconds * rate
        return moves
