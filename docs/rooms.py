"""The rooms of the package in the order of import, and the picture of what each imports.

    python docs/rooms.py

draws `docs/_static/rooms.svg` anew from the imports of the package. Tests hold that the order is kept and
the picture true.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "dask_igtm"
PICTURE = ROOT / "docs" / "_static" / "rooms.svg"

# A room imports rooms before it only; inside a room, a file those before it.
ROOMS = {
    "model": "checks basis affine gaps model arrays",
    "posterior": "tiles kernels coordinates posterior entry_checks row_outputs",
    "statistics": "targets log_histogram moments column_stats likelihood e_step node_sums prediction"
    " map_bins row_subsets",
    "solvers": "initialize m_step em evidence lbfgs accelerated stepwise",
    "data": "user_warnings whole_outputs npz_io zarr_io containers column_names row_arrays row_blocks"
    " rechunk convert",
    "passes": "resources graph reduce map_rows",
    "fitting": "settings fill_values start result checkpoint progress fit fit_many fit_stream cost",
    "projection": "fitted_map validate ugtm_names blocks to_zarr quality",
    "landscape": "landscape node_values from_rows",
    "estimators": "rollback set_output saving base_map igtm ugtm base_predictor classifier regressor load"
    " search saturation",
    "plot": "style row_charts node_charts charts report",
    "cli": "estimator_options base commands",
}
FILES = {room: files.split() for room, files in ROOMS.items()}
ORDER = [f"{room}.{file}" for room, files in FILES.items() for file in files]
TOP = ("_version", "_lazy", "__main__")  # beside the rooms


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """Yield package and dotted rest of all that a file imports, wherever that stands.

    A name that is imported from a package is part of the rest where it may be a module.
    """
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                package, _, rest = alias.name.partition(".")
                yield package, rest
        elif isinstance(node, ast.ImportFrom):
            package, _, rest = (node.module or "").partition(".")
            for alias in node.names:
                yield package, f"{rest}.{alias.name}" if rest.count(".") < 1 and rest else rest or alias.name


def imported_modules(module: str) -> set[str]:
    """Return the modules of the rooms, as `room.file`, that one of them imports."""
    path = PACKAGE / f"{module.replace('.', '/')}.py"
    return {
        ".".join(rest.split(".")[:2])
        for package, rest in imports(path)
        if package == "dask_igtm" and rest.split(".")[0] in FILES
    }


def arrows() -> Counter[tuple[str, str]]:
    """Count the imports from each room to each other one."""
    pairs = (
        (module.split(".")[0], other.split(".")[0]) for module in ORDER for other in imported_modules(module)
    )
    return Counter(pair for pair in pairs if pair[0] != pair[1])


WIDTH, HEIGHT, GAP, LEFT = 560, 44, 14, 190


def picture() -> str:
    """Draw the rooms as a stack, the first one below, and on its left what each imports."""
    rooms = list(FILES)
    top = {room: 10 + (len(rooms) - 1 - i) * (HEIGHT + GAP) for i, room in enumerate(rooms)}
    height = 20 + len(rooms) * (HEIGHT + GAP)
    shapes = []
    for (room, other), count in sorted(arrows().items()):
        start, end = top[room] + HEIGHT / 2 - 6, top[other] + HEIGHT / 2 + 6
        bend = LEFT - 20 - 12 * (rooms.index(room) - rooms.index(other))
        shapes.append(
            f'<path d="M{LEFT} {start} C{bend} {start} {bend} {end} {LEFT - 5} {end}" '
            f'stroke-width="{min(0.6 + count / 6, 3):.1f}" marker-end="url(#head)">'
            f"<title>{room} imports {other} {count} times</title></path>"
        )
    boxes = []
    for room, files in FILES.items():
        boxes.append(
            f'<rect x="{LEFT}" y="{top[room]}" width="{WIDTH}" height="{HEIGHT}" rx="5"/>'
            f'<text x="{LEFT + 12}" y="{top[room] + 18}" class="room">{escape(room)}</text>'
            f'<text x="{LEFT + 12}" y="{top[room] + 34}">{escape(" · ".join(files))}</text>'
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 10} {height}" role="img" '
        f'aria-label="The rooms of the package, and what each imports">\n'
        "<style>text { font: 11px system-ui, sans-serif; fill: #333 }"
        " .room { font-weight: bold; font-size: 14px }"
        " path { fill: none; stroke: #4477aa; stroke-opacity: 0.55 }"
        " rect { fill: #f4f6f8; stroke: #8899aa }"
        " marker path { fill: #4477aa; stroke: none }</style>\n"
        '<defs><marker id="head" viewBox="0 0 6 6" refX="5" refY="3" markerWidth="7" markerHeight="7" '
        'markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0L6 3L0 6z"/></marker></defs>\n'
        + "\n".join([*shapes, *boxes])
        + "\n</svg>\n"
    )


if __name__ == "__main__":
    PICTURE.write_text(picture())
