"""Results: tables, geometric means, JSON."""

import dataclasses
import json
import math
import os
import pathlib
import re


@dataclasses.dataclass
class Results:
    """What a section measured. `values[row][engine]` is the best of all rounds."""

    title: str
    unit: str
    engines: list[str]
    base: str  # what ratios are against
    groups: dict[str, str]  # row -> group, in the order of rows
    values: dict[str, dict[str, float]] = dataclasses.field(default_factory=dict)
    samples: dict[str, dict[str, list]] = dataclasses.field(default_factory=dict)
    failures: list[str] = dataclasses.field(default_factory=list)

    def add(self, row: str, engine: str, value: float, **details) -> None:
        """Takes one measurement, and keeps it as the value if it is the best."""
        best = self.values.setdefault(row, {})
        best[engine] = min(value, best.get(engine, value))
        self.samples.setdefault(row, {}).setdefault(engine, []).append(
            {"value": value, **details})

    def fail(self, row: str, engine: str, reason: str) -> None:
        """Takes note that an engine has no result for a row."""
        self.failures.append(f"{row}: {engine}: {reason}")
        self.values.get(row, {}).pop(engine, None)

    def ratio(self, row: str, engine: str) -> float | None:
        """An engine's time over the base's."""
        times = self.values.get(row, {})
        if engine not in times or self.base not in times:
            return None
        return times[engine] / times[self.base]

    def mean(self, engine: str, group: str | None = None) -> float | None:
        """The geometric mean of an engine's ratios, of one group or over all rows; None if
        it lacks a row that the base has, since the mean would be one of other programs."""
        rows = [r for r, g in self.groups.items()
                if group in (None, g) and self.base in self.values.get(r, {})]
        ratios = [self.ratio(r, engine) for r in rows]
        if not ratios or None in ratios:
            return None
        return math.exp(sum(map(math.log, ratios)) / len(ratios))


def table(results: Results) -> str:
    """Seconds (or what the unit is) of the base, the ratios of all others, and their means."""
    others = [e for e in results.engines if e != results.base]
    width = max([len(r) for r in results.groups] + [len("geometric mean")]) + 1
    columns = [max(len(e), 8) + 2 for e in others]
    first = max(len(results.base) + len(results.unit) + 3, 12)

    def line(name: str, base: str, cells: list[str]) -> str:
        padded = "".join(c.rjust(w) for c, w in zip(cells, columns))
        return (name.ljust(width) + base.rjust(first) + padded).rstrip()

    def cell(value: float | None) -> str:
        return "-" if value is None else f"{value:.2f}"

    lines = [line("", f"{results.base}, {results.unit}", others)]
    groups = list(dict.fromkeys(results.groups.values()))
    for group in groups:
        rows = [r for r, g in results.groups.items() if g == group and r in results.values]
        if not rows:
            continue
        if len(groups) > 1:
            lines.append(f"{group}:")
        for row in rows:
            base = results.values[row].get(results.base)
            lines.append(line(row, "-" if base is None else number(base),
                              [cell(results.ratio(row, e)) for e in others]))
        if len(rows) > 1:
            lines.append(line("geometric mean", "", [cell(results.mean(e, group)) for e in others]))
    if len(groups) > 1:
        lines.append(line("all: geom. mean", "", [cell(results.mean(e)) for e in others]))
    return "\n".join(lines)


def number(value: float) -> str:
    """Three or more significant digits."""
    return f"{value:.3f}" if value < 100 else f"{value:.1f}"


def remarks(results: Results, engine: str, peers: list[str], limit: float) -> list[str]:
    """The rows where `engine` is slower than the best of its peers, or over `limit` times
    the base; what is within 2% of the best is taken for noise."""
    lines = []
    for row in results.groups:
        mine = results.ratio(row, engine)
        if mine is None:
            continue
        rivals = [(r, p) for p in peers if (r := results.ratio(row, p)) is not None]
        best, name = min(rivals, default=(math.inf, ""))
        notes = []
        if mine > best * 1.02:
            notes.append(f"{name} has {best:.2f}")
        if mine > limit:
            notes.append(f"over {limit:.2f}")
        if notes:
            lines.append(f"{row}: {mine:.2f} ({', '.join(notes)})")
    return lines


def machine() -> dict[str, object]:
    """The processor and its cores."""
    try:
        info = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8")
        found = re.search(r"^model name\s*: (.*)$", info, re.MULTILINE)
    except OSError:
        found = None
    return {"processor": found[1] if found else "unknown", "cores": os.cpu_count()}


def write_json(results: Results, versions: dict[str, str], path: pathlib.Path) -> None:
    """Everything that was measured, for other programs."""
    data = {"machine": machine(), "versions": versions, **dataclasses.asdict(results),
            "geometric_means": {e: results.mean(e) for e in results.engines}}
    path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
