"""Medians, ratios and verdicts, as Markdown that reads as plain text too."""

from statistics import median

from cases import OF_ALL
from peers import OURS


def of_case(case, results, floor_ns):
    """The section of one case. `results`: name → list of reports of `ringrelay bench`; `floor_ns`: of a send, if known."""
    rows = {name: _figures(reports) for name, reports in results.items() if reports}
    build = {"rate": _rates, "latency": _latencies, "idle": _idle, "shards": _shards}[case.kind]
    lines = [f"### {case.title}", "", *build(case, rows, floor_ns), ""]
    verdicts = list(_verdicts(case, rows, floor_ns))
    return "\n".join(lines + [f"- {verdict}" for verdict in verdicts] + ([""] if verdicts else []))


def _figures(reports):
    def middle(*path):
        values = [_at(report, path) for report in reports]
        return None if any(value is None for value in values) else median(values)

    return {
        "wall": middle("delivered_per_s"),
        "per CPU second": middle("server", "delivered_per_cpu_s"),
        "server busy": middle("server", "busy"),
        "generator busy": middle("generator", "busy"),
        "p50": middle("latency_us", "p50"),
        "p99": middle("latency_us", "p99"),
        "p99.9": middle("latency_us", "p99_9"),
        "samples": sum(_at(report, ("latency_us", "samples")) or 0 for report in reports),
        "idle": middle("idle", "user_bytes_per_connection"),
        "anonymous": middle("idle", "anonymous_bytes_per_connection"),
        "pss": middle("server", "pss_bytes"),
        "threads": [report["thread_cpu_s"] for report in reports if "thread_cpu_s" in report],
        "spread": _spread([_at(report, ("server", "delivered_per_cpu_s")) for report in reports]),
        "rounds": len(reports),
    }


def _at(value, path):
    for key in path:
        value = value and value.get(key)
    return value


def _spread(values):
    """Half the distance between best and worst, in percent of the median."""
    return None if None in values or not median(values) else (max(values) - min(values)) / 2 / median(values) * 100


def _rates(case, rows, floor_ns):
    head = ["server", "M/s wall", "M/s per CPU s", "± %", f"{OURS} is", "wall", "server busy", "generator busy", "p50 µs"]
    if floor_ns:
        head.append("of the floor")
    ours = rows.get(OURS)
    table = []
    for name, row in rows.items():
        cells = [
            name, _millions(row["wall"]), _millions(row["per CPU second"]), _number(row["spread"], 0),
            _ratio(ours, row, "per CPU second"), _ratio(ours, row, "wall"),
            _percent(row["server busy"]), _percent(row["generator busy"]), _number(row["p50"], 0),
        ]  # fmt: skip
        if floor_ns:
            cells.append(_number(row["per CPU second"] * floor_ns / 1e9, 2))
        table.append(cells)
    lines = _table(head, table)
    if floor_ns:
        lines += ["", f"Floor: {floor_ns:.0f} ns of CPU per send, {1e3 / floor_ns:.3f} M/s per CPU second."]
    return lines


def _latencies(_case, rows, _floor_ns):
    head = ["server", "p50 µs", "p99 µs", "p99.9 µs", "samples", "delivered/s", "server busy"]
    return _table(head, [
        [
            name, _number(row["p50"], 0), _number(row["p99"], 0), _number(row["p99.9"], 0),
            str(row["samples"]), _number(row["wall"], 0), _percent(row["server busy"]),
        ]
        for name, row in rows.items()
    ])  # fmt: skip


def _idle(_case, rows, _floor_ns):
    head = ["server", "bytes per connection", "of them anonymous", "server MiB after"]
    return _table(head, [
        [name, _number(row["idle"], 0), _number(row["anonymous"], 0), _number(row["pss"] / 2**20, 1)]
        for name, row in rows.items()
    ])  # fmt: skip


def _shards(_case, rows, _floor_ns):
    head = ["setup", "M/s wall", "M/s per CPU s", "server busy", "generator busy", "CPU s of the threads"]
    return _table(head, [
        [
            name, _millions(row["wall"]), _millions(row["per CPU second"]),
            _percent(row["server busy"]), _percent(row["generator busy"]),
            ", ".join(f"{cpu_s:.2f}" for cpu_s in row["threads"][-1][:3]),
        ]
        for name, row in rows.items()
    ])  # fmt: skip


def _verdicts(case, rows, floor_ns):
    if case.kind == "shards" and len(rows) == 2:
        one, two = rows["1 shard"]["wall"], rows["2 shards"]["wall"]
        yield f"two shards deliver {two / one:.2f}× of one (wanted: above 1): {_met(two > one)}"
    ours = rows.get(OURS)
    if not ours:
        return
    if case.kind == "idle":
        worst = max(ours["idle"], ours["anonymous"])
        yield f"{worst:.0f} bytes per connection, at most {case.idle_bytes_max} wanted: {_met(worst <= case.idle_bytes_max)}"
    for wanted in (*case.wanted, *(OF_ALL if case.kind == "rate" else ())):
        there = [name for name in wanted.peers if name in rows]
        if not there or wanted.of not in rows:
            continue
        if wanted.by in ("p50", "p99"):
            yield f"{wanted.by} {ours[wanted.by]:.0f} µs, {there[0]} {rows[there[0]][wanted.by]:.0f} µs: " + _met(
                ours[wanted.by] <= rows[there[0]][wanted.by] * wanted.ratio
            )
            continue
        best = max(there, key=lambda name: rows[name][wanted.by])
        ratio = rows[wanted.of][wanted.by] / rows[best][wanted.by]
        yield f"{wanted.of} is {ratio:.2f}× {best} ({wanted.by}), at least {wanted.ratio}× wanted: {_met(ratio >= wanted.ratio)}"
    if floor_ns and case.wanted_of_floor:
        part = ours["per CPU second"] * floor_ns / 1e9
        yield f"{part:.2f} of the floor, at least {case.wanted_of_floor} wanted: {_met(part >= case.wanted_of_floor)}"


def _met(yes):
    return "met" if yes else "**missed**"


def _ratio(ours, row, by):
    if not ours or row is ours or not row[by]:
        return ""
    return f"{ours[by] / row[by]:.2f}×"


def _millions(value):
    return "" if value is None else f"{value / 1e6:.3f}" if value < 1e7 else f"{value / 1e6:.2f}"


def _number(value, digits):
    return "" if value is None else f"{value:.{digits}f}"


def _percent(part):
    return "" if part is None else f"{part * 100:.0f} %"


def _table(head, rows):
    """Cells padded, so that the source is readable without rendering."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    line = lambda cells: "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths)) + " |"
    return [line(head), "|" + "|".join("-" * (width + 2) for width in widths) + "|", *map(line, rows)]
