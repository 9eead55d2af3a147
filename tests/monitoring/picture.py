"""Draws the panels where they stand in the dashboard, with their values as Grafana writes them."""

import math

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator

COLUMNS = 24
DAY_SECONDS = 86400
COLUMN_INCHES, ROW_INCHES = 0.72, 0.4
DOTS_PER_INCH = 84
# The legend stands below the panel, as Grafana's does; with more names than this the rest is counted.
LEGEND_MAX, LEGEND_COLUMNS, LEGEND_ROW_INCHES = 15, 3, 0.16


def scaled(base, suffixes):
    """Numbers with a suffix for each power of `base`."""

    def text(value, _=None):
        power = 0
        while abs(value) >= base and power + 1 < len(suffixes):
            value /= base
            power += 1
        return f"{value:.4g}{suffixes[power]}"

    return text


def duration(value, _=None):
    if value == 0:
        return "0"
    for size, name in ((DAY_SECONDS, "d"), (3600, "h"), (60, "min"), (1, "s"), (1e-3, "ms")):
        if abs(value) >= size:
            return f"{value / size:.4g} {name}"
    return f"{value * 1e6:.4g} µs"


def per_second(name):
    number = scaled(1000, ["", "k", "M", "G"])
    return lambda value, _=None: f"{number(value)} {name}/s"


# By Grafana's names.
UNITS = {
    "short": scaled(1000, ["", " K", " Mil", " Bil"]),
    "bytes": scaled(1024, [" B", " KiB", " MiB", " GiB", " TiB"]),
    "Bps": scaled(1000, [" B/s", " kB/s", " MB/s", " GB/s"]),
    "cps": per_second("c"),
    "mps": per_second("msg"),
    "ops": per_second("ops"),
    "reqps": per_second("req"),
    "percentunit": lambda value, _=None: f"{value * 100:.4g} %",
    "s": duration,
}


def draw(panels, start, path):
    rows = max(panel.y + panel.height for panel in panels)
    width, height = COLUMNS * COLUMN_INCHES, rows * ROW_INCHES
    figure = plt.figure(figsize=(width, height))
    for panel in panels:
        if panel.unit is None:
            figure.text(0.005, 1 - (panel.y + 0.8) / rows, panel.title, fontsize=12, fontweight="bold")
            continue
        names = min(sum(len(query.series) for query in panel.queries), LEGEND_MAX)
        # Within its place: room for the numbers at the left, the title above, and times and legend below.
        legend = -(-names // LEGEND_COLUMNS) * LEGEND_ROW_INCHES
        left, below, above, right = 0.85 / width, (0.42 + legend) / height, 0.3 / height, 0.12 / width
        axes = figure.add_axes(
            (
                panel.x / COLUMNS + left,
                1 - (panel.y + panel.height) / rows + below,
                panel.width / COLUMNS - left - right,
                panel.height / rows - below - above,
            )
        )
        fill(axes, panel, start)
    figure.savefig(path, dpi=DOTS_PER_INCH)
    plt.close(figure)


def fill(axes, panel, start):
    for query in panel.queries:
        for series in query.series:
            times, values = zip(*((at - start, value) for at, value in series.points))
            axes.plot(times, values, label=series.name, linewidth=1.2)
    # Of noughts alone, up to one.
    top = max((value for query in panel.queries for value in query.values()), default=0) or 1
    axes.set_ylim(0, 1.08 * top)
    axes.set_title(panel.title, fontsize=10, loc="left")
    axes.yaxis.set_major_formatter(FuncFormatter(UNITS[panel.unit]))
    axes.yaxis.set_major_locator(locator(panel.unit, top))
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.3)
    handles, names = axes.get_legend_handles_labels()
    if len(names) > LEGEND_MAX:
        names[LEGEND_MAX - 1] = f"and {len(names) - LEGEND_MAX + 1} more"
    if names:
        below = {"loc": "upper left", "bbox_to_anchor": (-0.02, -0.1), "borderaxespad": 0.4}
        axes.legend(
            handles[:LEGEND_MAX], names[:LEGEND_MAX], fontsize=7, ncols=LEGEND_COLUMNS, frameon=False, columnspacing=1, **below
        )


def locator(unit, top):
    """Where the numbers stand: round ones, in their unit."""
    if unit == "bytes":
        return MultipleLocator(2.0 ** math.ceil(math.log2(top / 5)))
    if unit == "s" and top > 2 * DAY_SECONDS:
        return MultipleLocator(math.ceil(top / DAY_SECONDS / 5) * DAY_SECONDS)
    return MaxNLocator(5)
