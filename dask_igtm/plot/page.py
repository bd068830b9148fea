"""The page of a report: its frame, style and script, which are files beside this one, and text made HTML.

`page.html` says what stands where, `page.css` how it looks, on paper and in the dark too, and `page.js` draws
the charts and tells of the node that is chosen. All of it goes into one file, which loads nothing: its policy
forbids that, whatever a label or title may hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from string import Template
from typing import Any

import altair as alt

from dask_igtm.data.html_text import figure_text, html_text
from dask_igtm.data.json_text import dumps


def page(charts: Mapping[str, Any], nodes: Mapping[str, Any], library: str, **words: str) -> str:
    """Return the page.

    Parameters
    ----------
    charts : mapping of str to dict
        Specifications of Vega-Lite: "maps", with a dataset "chosen", and "history".
    nodes : mapping
        As `node_facts` returns it.
    library : str
        The scripts that draw charts, from `library`.
    **words : str
        HTML for every other place of `page.html`.
    """
    scripts = {"library": library, "script": _part("page.js")}
    data = {"charts": _in_script(charts), "nodes": _in_script(nodes)}
    return Template(_part("page.html")).substitute(words, **scripts, **data, style=_part("page.css"))


def library() -> str:
    """Return the scripts that draw the charts."""
    try:
        import vl_convert  # noqa: PLC0415 - megabytes that only a page needs
    except ImportError as error:
        raise ImportError(
            "A page that opens without a network needs vl-convert-python, which is missing; "
            "pip install 'dask_igtm[plot]'."
        ) from error
    version = "_".join(alt.SCHEMA_VERSION.split(".")[:2])
    bundle: Any = vl_convert.javascript_bundle  # its stub requires a snippet, which it does not need
    return str(bundle(vl_version=version))


def glance(figures: Mapping[str, Any]) -> str:
    """Return a list of few figures, each with what it is of."""
    pairs = (
        f"<div><dt>{html_text(name)}</dt><dd>{html_text(figure_text(value))}</dd></div>"
        for name, value in figures.items()
    )
    return f"<dl>{''.join(pairs)}</dl>"


def _part(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _in_script(value: Any) -> str:
    """Return JSON in which no text ends the script that holds it."""
    return dumps(value).replace("<", "\\u003c")
