"""The resources of a run as an SVG: one panel per resource, over time."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

WIDTH: Final = 880
PANEL_HEIGHT: Final = 130
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 28, 14
MAX_POINTS: Final = 600
"""Points per line: more would not be visible."""

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Panel:
    """One resource: a line with all measurements, and dots with those at rest. x is in minutes."""

    title: str
    line: Points
    dots: Points = ()


def render_plot(panels: Sequence[Panel], caption: str) -> str:
    """Return the SVG of the panels, which have the same time axis."""
    height = len(panels) * PANEL_HEIGHT + 36
    end = max(x for panel in panels for x, _ in panel.line)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" font-size="12">',
        f"<title>{escape(caption)}</title>",
        "<style>text { font-family: sans-serif }</style>",
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        *(_render_panel(panel, number * PANEL_HEIGHT, end) for number, panel in enumerate(panels)),
        _render_axis(end, len(panels) * PANEL_HEIGHT + 4),
        "</svg>\n",
    ]
    return "\n".join(parts)


def _render_panel(panel: Panel, top: float, end: float) -> str:
    highest = max(y for _, y in (*panel.line, *panel.dots)) * 1.1 or 1.0

    def place(x: float, y: float) -> tuple[float, float]:
        height = PANEL_HEIGHT - TOP - BOTTOM
        return LEFT + x / end * (WIDTH - LEFT - RIGHT), top + TOP + height * (1 - y / highest)

    step = max(1, len(panel.line) // MAX_POINTS)
    # The maximum of each step, so that no peak is lost.
    reduced = [max(panel.line[at : at + step], key=lambda point: point[1]) for at in range(0, len(panel.line), step)]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in reduced))
    dots = (place(*dot) for dot in panel.dots)
    bottom = top + PANEL_HEIGHT - BOTTOM
    return "\n".join(
        (
            f'<text x="{LEFT}" y="{top + 18}" font-weight="bold">{escape(panel.title)}</text>',
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{bottom}" y2="{bottom}" stroke="#999"/>',
            *(_render_tick(highest * share, place(0, highest * share)[1]) for share in (0, 0.5, 0.909)),
            f'<polyline fill="none" stroke="#7aa6d8" points="{points}"/>',
            *(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="#b3261e"/>' for x, y in dots),
        )
    )


def _render_tick(value: float, y: float) -> str:
    return (
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
        f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:,.0f}</text>'
    )


def _render_axis(end: float, y: float) -> str:
    shares = (0.0, 0.25, 0.5, 0.75, 1.0)
    return "\n".join(
        f'<text x="{LEFT + share * (WIDTH - LEFT - RIGHT):.1f}" y="{y + 12}" text-anchor="middle">'
        f"{end * share:.3g} min</text>"
        for share in shares
    )
