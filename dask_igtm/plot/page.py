"""The page of a report: its frame, style and script, which are files beside this one, and text made HTML.

`page.html` says what stands where, `figures.html` so of the figures of a map, and `here.html` of the way to
it among several. `page.css` says how it looks, on paper and in the dark too, and `page.js` draws the charts,
tells of the node that is chosen, and opens maps. All of it goes into one file, which loads nothing: its
policy forbids that, whatever a label or title may hold.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from string import Template
from typing import Any, NamedTuple

import altair as alt

from dask_igtm.data.html_text import figure_text, html_text
from dask_igtm.data.json_text import dumps
from dask_igtm.model.map_tree import NONE
from dask_igtm.plot.map_places import Place

TOLD = (
    "<p>Maps within maps: how many rows lie on each, and by how much it raises the mean of ln p(x) of rows"
    " held out at least.</p>"
)
FURTHER = (
    " A region with an outline and a number has a map of its own: choose a node in it, and open that map by"
    " Enter or the button. Backspace goes back."
)


class PageMap(NamedTuple):
    """All that a page has of one map.

    Attributes
    ----------
    place : Place
    gain : float
        By how much it raises the mean of ln p(x) of rows held out; NaN of the root.
    charts : mapping of str to dict
        Specifications of Vega-Lite: "maps", with a dataset "chosen", and "history".
    nodes : mapping
        As `node_facts` returns it.
    words : mapping of str to str
        HTML for the lead, the figures at a glance and every place of `figures.html`.
    """

    place: Place
    gain: float
    charts: Mapping[str, Any]
    nodes: Mapping[str, Any]
    words: Mapping[str, str]


def page(maps: Sequence[PageMap], library: str, **words: str) -> str:
    """Return the page.

    Parameters
    ----------
    maps : sequence of PageMap
        The root is first, and those below a map after it.
    library : str
        The scripts that draw charts, from `library`.
    **words : str
        HTML for every other place of `page.html`.
    """
    data = {
        "charts": [each.charts for each in maps],
        "nodes": [each.nodes for each in maps],
        "places": [_place(each.place) for each in maps],
    }
    parts = {name: _in_script(value) for name, value in data.items()}
    several = len(maps) > 1
    parts |= {
        "tree": f'<nav id="tree" aria-label="All maps">{TOLD}{_list(maps, NONE)}</nav>' if several else "",
        "here": _part("here.html") if several else "",
        "further": FURTHER if several else "",
        "heads": "".join(
            _of_map(n, f"<p>{m.words['lead']}</p>{m.words['glance']}") for n, m in enumerate(maps)
        ),
        "figures": "".join(
            _of_map(n, Template(_part("figures.html")).substitute(m.words, number=n))
            for n, m in enumerate(maps)
        ),
        "library": library,
        "script": _part("page.js"),
        "style": _part("page.css"),
    }
    return Template(_part("page.html")).substitute(words, **parts)


def _of_map(number: int, html: str) -> str:
    """Return what is seen while a map is open; the root is at first."""
    return f'<div data-map="{number}"{" hidden" if number else ""}>{html}</div>'


def _place(place: Place) -> dict[str, Any]:
    below = place.below.tolist() if (place.below != NONE).any() else []
    return {"name": place.name, "rows": place.rows, "above": place.above, "below": below}


def _list(maps: Sequence[PageMap], above: int) -> str:
    """Return a list of links to the maps below one, each with the list of those below it."""
    entries = []
    for number, (place, gain, *_) in enumerate(maps):
        if place.above == above:
            told = f"{place.rows} rows" + ("" if math.isnan(gain) else f", gain {gain:,.4g}")
            link = f'<a href="#{place.name}" data-number="{number}">{place.name}</a> <span>{told}</span>'
            entries.append(f"<li>{link}{_list(maps, number)}</li>")
    return f"<ul>{''.join(entries)}</ul>" if entries else ""


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
