"""The picture of a landscape as notebooks keep it: an image that shows offline, and runs nothing."""

from __future__ import annotations

import base64
from html import escape
from typing import Any

from dask_igtm._lazy import lazy

MOST_PANELS = 6
SHARP = 2  # pixels of the image to one of the picture; of several panels, which are shown smaller, one


def notebook_picture(landscape: Any) -> str:
    """Return an <img> that holds the picture of a Landscape, or nothing where the extra `plot` is missing.

    Of very many columns the first are drawn. PNG is what sites that show notebooks let through.
    """
    try:
        # The one place where this room asks a later one: a notebook knows the landscape alone, and finds
        # here whether there are pictures. Looked up by name when it asks, so that no import depends on it.
        draw = lazy(__name__, {"landscape": "plot.charts"})("landscape")
        import vl_convert  # noqa: PLC0415 - an extra
    except ImportError:
        return ""
    things = () if landscape.kind == "classes" else landscape.columns_of(landscape.parts[0])
    chart = draw(landscape, columns=things[:MOST_PANELS] if len(things) > MOST_PANELS else None)
    sharp = SHARP if len(things) <= 1 else 1
    png = vl_convert.vegalite_to_png(chart.to_dict(), scale=sharp)
    width = int.from_bytes(png[16:20], "big") // sharp  # by the header of PNG
    data, words = base64.b64encode(png).decode(), escape(f"{landscape.kind} on the map")
    return f'<img alt="{words}" width="{width}" style="max-width: 100%" src="data:image/png;base64,{data}">'
