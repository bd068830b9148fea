"""Figures and texts as HTML that is nothing but them, whatever they hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from dask_igtm.data.plain_text import escaped

LEFT = 'style="text-align: left"'  # notebooks would have it at the right


def html_text(value: Any) -> str:
    """Return the text of a value that is nothing else in a page."""
    return escape(escaped(value))


def figure_text(value: Any) -> str:
    """Return a figure as people write it: to six digits, and yes or no."""
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (float, np.floating)):
        return f"{value:,.6g}"
    return f"{value:,}" if isinstance(value, (int, np.integer)) else str(value)


def html_figures(figures: Mapping[str, Any]) -> str:
    """Return a table with a row for each figure, by its name."""
    rows = (
        f"<tr>{_row_name(name)}<td {LEFT}>{html_text(figure_text(value))}</td></tr>"
        for name, value in figures.items()
    )
    return f"<table>{''.join(rows)}</table>"


def html_table(head: Sequence[Any], rows: Sequence[Sequence[Any]]) -> str:
    """Return a table whose columns have the names in `head`; the first cell of a row is its name."""
    top = "".join(f'<th scope="col">{html_text(name)}</th>' for name in head)
    lines = (
        f"<tr>{_row_name(name)}{''.join(f'<td>{html_text(cell)}</td>' for cell in cells)}</tr>"
        for name, *cells in rows
    )
    return f"<table><thead><tr>{top}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _row_name(name: Any) -> str:
    return f'<th scope="row" {LEFT}>{html_text(name)}</th>'
