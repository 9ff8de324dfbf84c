"""Small line charts as SVG. No library: a chart is a few dozen lines of text, and diffs of it can be read."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 760, 300
LEFT, RIGHT, TOP, BOTTOM = 62, 18, 46, 46
OURS, NAIVE, OTHER = "#0b6e4f", "#c1440e", "#3a5a98"
_STYLE = (
    "text{font:13px system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif;fill:#333}"
    ".title{font-weight:600;font-size:14px}.small{font-size:12px;fill:#666}"
)


@dataclass(frozen=True)
class Line:
    """One line of a chart."""

    label: str
    color: str
    points: Sequence[tuple[float, float]]
    dashed: bool = False


@dataclass(frozen=True)
class Axis:
    """An axis: its range, where its ticks are, and what it is called."""

    label: str
    low: float
    high: float
    ticks: Sequence[float]
    name: Callable[[float], str] = lambda value: f"{value:g}"
    log: bool = False

    def place(self, value: float) -> float:
        """0 at the low end, 1 at the high one."""
        if self.log:
            return (math.log(value) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        return (value - self.low) / (self.high - self.low)


def _x(axis: Axis, value: float) -> float:
    return LEFT + axis.place(value) * (WIDTH - LEFT - RIGHT)


def _y(axis: Axis, value: float) -> float:
    return HEIGHT - BOTTOM - min(1.02, max(0.0, axis.place(value))) * (HEIGHT - TOP - BOTTOM)


def _text(x: float, y: float, text: str, anchor: str = "start", css: str = "small") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" class="{css}">{escape(text)}</text>'


def _grid(across: Axis, up: Axis) -> list[str]:
    parts = []
    for tick in up.ticks:
        y = _y(up, tick)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(_text(LEFT - 8, y + 4, up.name(tick), "end"))
    for tick in across.ticks:
        parts.append(_text(_x(across, tick), HEIGHT - BOTTOM + 18, across.name(tick), "middle"))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, across.label, "middle"))
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(
        f'<text x="16" y="{middle:.0f}" transform="rotate(-90 16 {middle:.0f})" text-anchor="middle" '
        f'class="small">{escape(up.label)}</text>'
    )
    return parts


def _drawn(line: Line, across: Axis, up: Axis) -> str:
    path = "L".join(f"{_x(across, x):.1f} {_y(up, y):.1f}" for x, y in line.points)
    dashes = ' stroke-dasharray="6 4"' if line.dashed else ""
    return f'<path d="M{path}" fill="none" stroke="{line.color}" stroke-width="2"{dashes}/>'


def _legend(lines: Sequence[Line]) -> list[str]:
    parts, x = [], float(LEFT)
    for line in lines:
        dashes = ' stroke-dasharray="6 4"' if line.dashed else ""
        parts.append(f'<path d="M{x:.0f} 34h22" stroke="{line.color}" stroke-width="2.5"{dashes}/>')
        parts.append(_text(x + 28, 38, line.label))
        x += 52 + 6.6 * len(line.label)
    return parts


def chart(
    title: str, across: Axis, up: Axis, lines: Sequence[Line], trouble: tuple[float, float, str] | None = None
) -> str:
    """A chart as an SVG document; `trouble` is a span that is shaded, and its name."""
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
            f'aria-label="{escape(title)}">'
        ),
        f"<style>{_STYLE}</style>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="6" fill="#fff"/>',
    ]
    if trouble is not None:
        left, right = _x(across, trouble[0]), _x(across, trouble[1])
        parts.append(
            f'<rect x="{left:.1f}" y="{TOP}" width="{right - left:.1f}" height="{HEIGHT - TOP - BOTTOM}" '
            'fill="#f6e9d8"/>'
        )
        parts.append(_text((left + right) / 2, TOP + 0.58 * (HEIGHT - TOP - BOTTOM), trouble[2], "middle"))
    parts += _grid(across, up)
    parts += [_drawn(line, across, up) for line in lines]
    parts.append(_text(LEFT, 20, title, css="title"))
    parts += _legend(lines)
    parts.append("</svg>\n")
    return "\n".join(parts)
