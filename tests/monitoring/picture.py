"""Draws the panels where they stand in the dashboard, with their values as Grafana writes them."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter, MaxNLocator
from PIL import Image

COLUMNS = 24
COLUMN_INCHES, ROW_INCHES = 0.72, 0.4
DOTS_PER_INCH = 84
# Enough for lines and text; the file is a third of what it is with all.
COLORS = 64
# With more, a legend hides the lines; Grafana's has a place of its own.
LEGEND_MAX = 14


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
    for size, name in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"), (1e-3, "ms")):
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
        # Within its place: room for the numbers at the left, the times below and the title above.
        left, below, above, right = 0.85 / width, 0.32 / height, 0.3 / height, 0.12 / width
        axes = figure.add_axes(
            (
                panel.x / COLUMNS + left,
                1 - (panel.y + panel.height) / rows + below,
                panel.width / COLUMNS - left - right,
                panel.height / rows - below - above,
            )
        )
        lines(axes, panel, start)
    figure.savefig(path, dpi=DOTS_PER_INCH)
    plt.close(figure)
    Image.open(path).convert("RGB").quantize(COLORS, dither=Image.Dither.NONE).save(path, optimize=True)


def lines(axes, panel, start):
    shown = [series for query in panel.queries for series in query.series if series.points]
    for series in shown:
        times, values = zip(*((at - start, value) for at, value in series.points))
        # A value between two gaps is no line.
        axes.plot(times, values, label=series.name, linewidth=1.2, marker="." if len(values) < 3 else None)
    axes.set_title(panel.title, fontsize=10, loc="left")
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(FuncFormatter(UNITS[panel.unit]))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.3)
    if shown:
        handles, labels = axes.get_legend_handles_labels()
        columns = 2 if len(labels) > LEGEND_MAX // 2 else 1
        more = len(labels) - LEGEND_MAX
        axes.legend(
            handles[:LEGEND_MAX],
            labels[:LEGEND_MAX],
            title=f"and {more} more" if more > 0 else None,
            title_fontsize=7,
            fontsize=7,
            ncols=columns,
            loc="upper left",
            framealpha=0.6,
        )
