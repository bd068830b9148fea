"""The rooms of the package in the order of import, and the picture of what each imports.

    python docs/rooms.py

draws `docs/_static/rooms.svg` anew from the imports of the package. Tests hold that the order is kept and
the picture true.
"""

from __future__ import annotations

import ast
import textwrap
from collections import Counter
from collections.abc import Iterator
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "dask_igtm"
PICTURE = ROOT / "docs" / "_static" / "rooms.svg"

# A room imports rooms before it only; inside a room, a file those before it.
ROOMS = {
    "model": "checks forks remember stored basis functions affine gaps sufficient_statistics model arrays"
    " map_tree",
    "noise": "row_entries newton isotropic diagonal natural bernoulli poisson families",
    "posterior": "tiles entry_checks coordinates geometry numpy_kernel column_squares sparse_rows compiled"
    " products row_terms sparse_products reading numba_kernel kernels posterior row_outputs tree_posterior"
    " tree_outputs",
    "statistics": "targets log_histogram sparse_columns moments covariance_images column_stats likelihood"
    " row_subsets e_step node_sums region_shares tree_sums prediction map_bins row_sample node_members survey"
    " plane_rows",
    "solvers": "spectrum leading_axes wide_spectrum initialize em sample curvature lbfgs accelerated"
    " evidence sampled stepwise",
    "data": "plain_text html_text user_warnings disks interrupts file_lock work_folders whole_outputs"
    " whole_stores json_text npz_io codecs encodings places zarr_io zarr_labels stored_tables"
    " zarr_tables parquet_parts opened_files planning block_shapes cubes csr_rows table_columns"
    " parquet_rows own_inputs csv_files table_files no_tables frames named_columns containers"
    " column_names row_index row_arrays row_blocks xarray_names table_ids beside_rows row_names"
    " row_columns rechunk csr_groups sparse_files convert",
    "passes": "resources block_checks row_records empty_rows blocks graph reduce map_rows digests",
    "fitting": "settings map_size sampling fill_values collapse wide_start start unchanged result"
    " checkpoint_file checkpoint checkpoint_many progress row_parts region_rows fit fit_many fit_stream cost",
    "projection": "fit_figures fitted_map fitted_tree validate labelled_rows labelled_results ugtm_names"
    " columns blocks table parts to_zarr to_csv written quality",
    "landscape": "notebook_picture landscape node_values from_rows regions division column_markers"
    " rows_at_nodes survey",
    "atlas": "growth",
    "estimators": "rollback set_output row_tables fitted_html saving base_map igtm ugtm base_predictor"
    " classifier regressor atlas_file atlas load"
    " folds search saturation",
    "plot": "colors shown_text label_colors label_places value_colors style row_charts node_panels outlines"
    " node_charts candidates candidate_charts fit_charts charts node_facts map_places map_charts page"
    " report_words report",
    "cli": "estimator_options option_words regions fitted facts base clusters commands",
}
FILES = {room: files.split() for room, files in ROOMS.items()}
ORDER = [f"{room}.{file}" for room, files in FILES.items() for file in files]
TOP = ("_version", "_lazy", "__main__", "tl")  # beside the rooms


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """Yield package and dotted rest of all that a file imports, wherever that stands.

    A name that is imported from a room is part of the rest, since it may be a file.
    """
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                package, _, rest = alias.name.partition(".")
                yield package, rest
        elif isinstance(node, ast.ImportFrom):
            above = [PACKAGE.name, *path.relative_to(PACKAGE).parent.parts]
            within = above[: len(above) - node.level + 1] if node.level else []
            package, *rest_of_path = [*within, *(node.module or "").split(".")]
            for alias in node.names:
                yield package, ".".join([*filter(None, rest_of_path), alias.name])


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


TEXT, ROW, CELL = 660, 62, 27  # pixels: width of the words, height of a room, side of a square
TOP_ROW = 92  # where the names of the columns stand


def picture() -> str:
    """Draw the rooms in their order, each with a square for every room that it imports."""
    rooms, found = list(FILES), arrows()
    width, height = TEXT + CELL * len(rooms) + 10, TOP_ROW + ROW * len(rooms) + 10
    shapes = []
    for column, room in enumerate(rooms):
        x = TEXT + CELL * column + CELL / 2
        shapes.append(f'<text transform="translate({x + 4} {TOP_ROW - 8}) rotate(-60)">{room}</text>')
    for row, room in enumerate(rooms):
        y = TOP_ROW + ROW * row
        shapes.append(f'<path d="M0 {y}H{width}"/>')
        shapes.append(f'<text x="8" y="{y + 18}" class="room">{room}</text>')
        shapes.append(f'<text x="112" y="{y + 18}">{escape(_what(room))}</text>')
        for number, line in enumerate(textwrap.wrap(" · ".join(FILES[room]), 85)):
            shapes.append(f'<text x="112" y="{y + 34 + 15 * number}" class="files">{escape(line)}</text>')
        for column, other in enumerate(rooms):
            x, middle = TEXT + CELL * column + CELL / 2, y + ROW / 2
            count = found[room, other]
            if room == other:
                shapes.append(f'<circle cx="{x}" cy="{middle}" r="3"/>')
            elif count:
                side = min(8 + 1.1 * count, CELL - 3)
                left, top = x - side / 2, middle - side / 2
                shapes.append(
                    f'<rect x="{left:.1f}" y="{top:.1f}" width="{side:.1f}" height="{side:.1f}">'
                    f"<title>{room} imports {other} {count} times</title></rect>"
                )
    style = (
        "text { font: 12px system-ui, sans-serif; fill: #333 } .room { font-weight: bold; font-size: 15px } "
        ".files { fill: #777 } path { stroke: #ccd } rect { fill: #4477aa } circle { fill: #99a }"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        'aria-label="The rooms of the package, and which of them each imports">\n'
        f"<style>{style}</style>\n" + "\n".join(shapes) + "\n</svg>\n"
    )


def _what(room: str) -> str:
    """Return the first sentence of what a room says of itself."""
    text = ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text())) or ""
    return text.partition("\n")[0]


if __name__ == "__main__":
    PICTURE.write_text(picture())
