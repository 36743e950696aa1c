"""Labels next to the lines and bars that they name, in place of a legend: colors, spacing, stacked bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

INK = "#1a1a1a"
MUTED = "#6b6b6b"

# Okabe and Ito's palette, told apart with any kind of color blindness; its black is kept for totals, and its
# yellow, too light for text, is darkened.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#a89a00", "#7f5539", "#7a7a7a")

FONT = 10
LONGEST = 26
"""Characters of a name that the margin has room for, with its numbers."""

LINE_HEIGHT = 1.45
"""Distance between the middles of two labels, in font sizes."""


def color_of(index: int, soft: bool = False) -> str | tuple[float, float, float]:
    """The color of the index-th thing in a panel; soft for what matters less."""
    color = PALETTE[index % len(PALETTE)]
    if not soft:
        return color
    red, green, blue = (0.45 + 0.55 * channel for channel in to_rgb(color))
    return red, green, blue


def shorten(name: str) -> str:
    """The name, cut where the margin ends."""
    return name if len(name) <= LONGEST else name[: LONGEST - 1] + "\N{HORIZONTAL ELLIPSIS}"


def style_axes(axes: Axes, title: str) -> None:
    """A panel without a frame: its title, a light grid behind the data, and ticks that stay in the background."""
    axes.set_title(title, loc="left", fontsize=14, fontweight="bold", color=INK, pad=12)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(MUTED)
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED, length=0, labelsize=FONT)


def spread(targets: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions in low..high, at least `gap` apart and in the order of `targets`, close to them in least squares.

    Where they don't fit, they share the room evenly.
    """
    count = len(targets)
    if count > 1:
        gap = min(gap, (high - low) / (count - 1))
    order = sorted(range(count), key=targets.__getitem__)
    # With i * gap taken off, "at least a gap apart" is "not falling", and the closest such sequence comes from
    # pooling neighbours that fall (isotonic regression).
    pools: list[tuple[float, int]] = []
    for rank, index in enumerate(order):
        mean, size = targets[index] - rank * gap, 1
        while pools and pools[-1][0] > mean:
            other, members = pools.pop()
            mean, size = (mean * size + other * members) / (size + members), size + members
        pools.append((mean, size))
    flat = [mean for mean, size in pools for _ in range(size)]
    positions = [0.0] * count
    for rank, (index, value) in enumerate(zip(order, flat, strict=True)):
        positions[index] = min(max(value, low), high - (count - 1) * gap) + rank * gap
    return positions


Label = tuple[tuple[float, float], str, str | tuple[float, float, float], str]
"""((x, y) that it names, in data coordinates, text, color, font weight)."""


def label_line_ends(axes: Axes, labels: Sequence[Label]) -> None:
    """Write labels right of the panel, each joined to its point. The panel's limits must be set by now."""
    low, high = axes.get_ylim()
    figure = axes.get_figure()
    height = axes.get_position().height * figure.get_figheight() * 72  # type: ignore[union-attr]  # axes have a figure
    size = min(FONT, 0.98 * height / max(len(labels), 1) / LINE_HEIGHT)
    targets = [(y - low) / (high - low) for (_, y), _, _, _ in labels]
    places = spread(targets, size * LINE_HEIGHT / height, 0.0, 1.0)
    for (point, text, color, weight), place in zip(labels, places, strict=True):
        axes.annotate(
            text,
            xy=point,
            xytext=(1.03, place),
            textcoords="axes fraction",
            va="center",
            fontsize=size,
            fontweight=weight,
            color=_readable(color),
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": color,
                "linewidth": 0.8,
                "alpha": 0.7,
                "shrinkA": 2,
                "shrinkB": 4,
                "relpos": (0, 0.5),
            },
        )


def label_stack(
    axes: Axes,
    positions: Sequence[float],
    stacks: Mapping[str, Sequence[int]],
    colors: Sequence[str | tuple[float, float, float]],
) -> None:
    """Stacked bars, a bar a position: counts inside where there is room, totals above, names at the right."""
    bottoms = [0] * len(positions)
    totals = [sum(values) for values in zip(*stacks.values(), strict=True)]
    top = 1.1 * max(*totals, 1)
    axes.set_ylim(0, top)
    labels: list[Label] = []
    for (name, values), color in zip(stacks.items(), colors, strict=True):
        axes.bar(positions, values, 0.62, bottom=bottoms, color=color, edgecolor="white", linewidth=0.8)
        for position, value, bottom in zip(positions, values, bottoms, strict=True):
            if value > 0.05 * top:
                ink = "white" if _luminance(color) < 0.5 else INK
                axes.text(position, bottom + value / 2, str(value), ha="center", va="center", color=ink, fontsize=9)
        change = f"{values[0]} \N{RIGHTWARDS ARROW} {values[-1]}" if len(values) > 1 else str(values[0])
        middle = bottoms[-1] + values[-1] / 2
        labels.append(((positions[-1] + 0.31, middle), f"{shorten(name)}  {change}", color, "normal"))
        bottoms = [bottom + value for bottom, value in zip(bottoms, values, strict=True)]
    for position, total in zip(positions, totals, strict=True):
        axes.text(position, total + 0.012 * top, str(total), ha="center", va="bottom", color=INK, fontweight="bold")
    label_line_ends(axes, labels)


def _luminance(color: str | tuple[float, float, float]) -> float:
    red, green, blue = to_rgb(color)
    return 0.299 * red + 0.587 * green + 0.114 * blue


def _readable(color: str | tuple[float, float, float]) -> tuple[float, float, float]:
    """The color, darkened as far as text on white needs it."""
    scale = min(1.0, 0.45 / max(_luminance(color), 1e-6))
    red, green, blue = to_rgb(color)
    return red * scale, green * scale, blue * scale
