"""Draws confusion.svg of the counts in confusion.json, which train.py writes.

    python plot.py
"""

import json
from pathlib import Path

HERE = Path(__file__).resolve().parent
CELL, LEFT, TOP, GAP = 26, 30, 46, 34


def panel(name, counts, x):
    total, right = sum(map(sum, counts)), sum(counts[i][i] for i in range(10))
    lines = [f'<g transform="translate({x} 0)">', f'<text x="{LEFT}" y="16" font-weight="bold">{name}</text>']
    lines.append(f'<text x="{LEFT}" y="32">{100 * right / total:.2f} % of {total}</text>')
    for row, columns in enumerate(counts):
        y = TOP + row * CELL
        lines.append(f'<text x="{LEFT - 8}" y="{y + 17}" text-anchor="end">{row}</text>')
        lines.append(f'<text x="{LEFT + row * CELL + CELL / 2:g}" y="{TOP + 10 * CELL + 16}" text-anchor="middle">{row}</text>')
        for column, count in enumerate(columns):
            part = count / max(1, sum(columns))
            # The square root shows the rare ones.
            shade = round(255 - 215 * part**0.5)
            fill = f"rgb({shade},{shade},255)" if row == column else f"rgb(255,{shade},{shade})"
            lines.append(f'<rect x="{LEFT + column * CELL}" y="{y}" width="{CELL - 1}" height="{CELL - 1}" fill="{fill}"/>')
            if count:
                colour = "white" if part > 0.4 else "black"
                middle = LEFT + column * CELL + CELL / 2 - 0.5
                lines.append(f'<text x="{middle:g}" y="{y + 16}" text-anchor="middle" font-size="10" fill="{colour}">{count}</text>')
    return lines + ["</g>"]


if __name__ == "__main__":
    matrices = json.loads((HERE / "confusion.json").read_text())
    width, height = len(matrices) * (LEFT + 10 * CELL + GAP), TOP + 10 * CELL + 40
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="12">']
    lines.append(f'<rect width="{width}" height="{height}" fill="white"/>')
    for index, (name, counts) in enumerate(matrices.items()):
        lines += panel(name, counts, index * (LEFT + 10 * CELL + GAP))
    lines.append(f'<text x="{LEFT}" y="{height - 6}">row: what was said; column: what was heard</text>')
    (HERE / "confusion.svg").write_text("\n".join(lines + ["</svg>"]) + "\n")
