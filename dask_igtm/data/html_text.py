"""Figures and texts as HTML that is nothing but them, whatever they hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import numpy as np

from dask_igtm.data.plain_text import escaped

WHOLE = 2**53  # below which whole numbers are themselves as floats
LEFT = 'style="text-align: left"'  # notebooks would have it at the right


def html_text(value: Any) -> str:
    """Return the text of a value that is nothing else in a page."""
    return escape(escaped(value))


def figure_text(value: Any) -> str:
    """Return a figure as people write it: whole, or to six digits, and yes or no."""
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (float, np.floating)):
        number = float(value)
        return f"{number:,.0f}" if number.is_integer() and abs(number) < WHOLE else f"{number:,.6g}"
    return f"{value:,}" if isinstance(value, (int, np.integer)) else str(value)


def html_table(rows: Iterable[Sequence[Any]], head: Sequence[Any] = ()) -> str:
    """Return a table whose rows are named by their first entry, and its columns in `head`."""
    top = "".join(f'<th scope="col">{html_text(name)}</th>' for name in head)
    lines = "".join(f"<tr>{_line(*row)}</tr>" for row in rows)
    return f"<table>{f'<thead><tr>{top}</tr></thead>' if head else ''}<tbody>{lines}</tbody></table>"


def _line(name: Any, *values: Any) -> str:
    cells = (f"<td {LEFT}>{html_text(figure_text(value))}</td>" for value in values)
    return f'<th scope="row" {LEFT}>{html_text(name)}</th>{"".join(cells)}'
