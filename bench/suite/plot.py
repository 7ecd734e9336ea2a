"""Draws results as SVG: a bar for each engine's geometric mean, and a dot for each ratio."""

import html
import math

from .report import Results

# Wafer's tiers are blue, from dark to light; peers have colours apart from each other.
OWN_COLOURS = {"wafer-llvm": "#0b3d91", "wafer-auto": "#2a78d6", "wafer-baseline": "#7db3f0",
                 "wafer-interp": "#0b3d91", "native-cpu": "#999"}
PEER_COLOURS = ("#d9480f", "#2b8a3e", "#9c36b5", "#e0a800", "#c2255c", "#495057")
LEFT, PLOT, ROW, BAR = 130, 560, 15, 20


class Scale:
    """A logarithmic axis from 0 to PLOT pixels over all values."""

    def __init__(self, values: list[float]):
        self.low = math.log(min(values + [1.0]) * 0.93)
        self.high = math.log(max(values + [1.0]) * 1.07)

    def x(self, value: float) -> float:
        """Where a value is drawn."""
        return LEFT + PLOT * (math.log(value) - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Round numbers within the axis, not too many."""
        low, high = math.exp(self.low), math.exp(self.high)
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        steps = (1, 2, 5) if high / low > 6 else (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)
        return [s * 10.0**d for d in decades for s in steps if low <= s * 10.0**d <= high]


def text(x: float, y: float, content: str, more: str = "") -> str:
    """A line of text."""
    return f'<text x="{x:.0f}" y="{y:.1f}"{more}>{html.escape(content)}</text>'


def draw(results: Results) -> str:
    """The whole picture."""
    others = [e for e in results.engines if e != results.base]
    peers = iter(PEER_COLOURS * 2)
    colours = {e: OWN_COLOURS.get(e) or next(peers) for e in others}
    rows = [r for r in results.groups if any(results.ratio(r, e) for e in others)]
    means = {e: m for e in others if (m := results.mean(e))}
    ratios = [x for r in rows for e in others if (x := results.ratio(r, e))]
    scale = Scale(ratios + list(means.values()))

    parts = [text(LEFT, 22, results.title, ' class="t"'),
             text(LEFT, 40, f"time relative to {results.base}, logarithmic; less is better",
                  ' class="m"')]
    y, legend = 58, 16
    for engine in others:
        parts.append(f'<circle cx="{legend + 5}" cy="{y}" r="4.5" fill="{colours[engine]}"/>')
        parts.append(text(legend + 14, y + 4, engine))
        legend += 26 + 7 * len(engine)
    top = y + 20
    y = top
    for engine, mean in means.items():
        start, end = sorted((scale.x(1.0), scale.x(mean)))
        parts.append(f'<rect x="{start:.1f}" y="{y + 3}" width="{max(end - start, 1):.1f}" '
                     f'height="{BAR - 6}" fill="{colours[engine]}"/>')
        parts.append(text(LEFT - 8, y + BAR / 2 + 4, engine, ' text-anchor="end"'))
        inside = end > LEFT + PLOT - 40
        parts.append(text(end + (-4 if inside else 4), y + BAR / 2 + 4, f"{mean:.2f}",
                          ' text-anchor="end" fill="#fff"' if inside else ""))
        y += BAR
    if means:
        parts.append(text(LEFT + PLOT, y + 10, "geometric means",
                          ' class="m" text-anchor="end"'))
        y += 18
    group = None
    for row in rows:
        if results.groups[row] != group:
            group = results.groups[row]
            y += 4
            parts.append(f'<path d="M8 {y}H{LEFT + PLOT}" class="g"/>')
        middle = y + ROW / 2
        parts.append(text(LEFT - 8, middle + 4, row, ' text-anchor="end"'))
        for engine in reversed(others):
            if ratio := results.ratio(row, engine):
                parts.append(f'<circle cx="{scale.x(ratio):.1f}" cy="{middle:.1f}" r="4" '
                             f'fill="{colours[engine]}"/>')
        y += ROW
    grid = []
    for tick in scale.ticks():
        x = scale.x(tick)
        grid.append(f'<path d="M{x:.1f} {top}V{y}" class="{"b" if tick == 1 else "g"}"/>')
        grid.append(text(x, y + 14, f"{tick:g}", ' class="m" text-anchor="middle"'))
    width, height = LEFT + PLOT + 30, y + 26
    style = ("text{font:12px sans-serif;fill:#222}.t{font-size:15px;font-weight:bold}"
             ".m{fill:#666}.g{stroke:#e4e4e4}.b{stroke:#888}circle{fill-opacity:.85}"
             'text[fill="#fff"]{fill:#fff}')
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height:.0f}" '
            f'viewBox="0 0 {width} {height:.0f}">\n<style>{style}</style>\n'
            f'<rect width="100%" height="100%" fill="#fff"/>\n'
            + "\n".join(grid + parts) + "\n</svg>\n")
