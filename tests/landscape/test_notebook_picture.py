"""The picture of a landscape in a notebook: there with the extra, and no fault where that is missing."""

import base64
import re
import sys

import numpy as np
import pytest
import vl_convert
from sklearn.datasets import load_iris

from dask_igtm import IGTM, landscape, plot
from dask_igtm.landscape.notebook_picture import notebook_picture

X = load_iris().data


@pytest.fixture(scope="module")
def igtm():
    return IGTM(k=4, m=2, niter=5, scale="standard").fit(X)


def test_it_is_the_picture_of_the_plot_room_and_nothing_else(igtm):
    found = landscape.density(igtm, X)
    image = re.fullmatch(
        r'<img alt="density on the map" width="(\d+)" style="[^"]*" src="data:image/png;base64,([^"]*)">',
        notebook_picture(found),
    )
    png = base64.b64decode(image[2])
    assert png == vl_convert.vegalite_to_png(plot.landscape(found).to_dict(), scale=2)
    assert int.from_bytes(png[16:20], "big") == pytest.approx(2 * int(image[1]), abs=1)


def test_of_many_columns_it_shows_the_first(igtm):
    found = landscape.property(igtm, X, np.hstack([X, 2 * X]))
    png = base64.b64decode(re.search(r'base64,([^"]*)"', notebook_picture(found))[1])
    assert png == vl_convert.vegalite_to_png(
        plot.landscape(found, columns=[f"y{number}_mean" for number in range(6)]).to_dict()
    )


def test_a_column_without_values_is_drawn(igtm):
    values = np.column_stack([X[:, 0], np.full(len(X), np.nan)])
    assert notebook_picture(landscape.property(igtm, X, values))


@pytest.mark.parametrize("missing", ["altair", "vl_convert"])
def test_without_the_extra_there_is_the_table_alone(igtm, monkeypatch, missing):
    found = landscape.density(igtm, X)
    monkeypatch.setitem(sys.modules, missing, None)
    for name in [name for name in sys.modules if name.startswith("dask_igtm.plot.")]:
        monkeypatch.delitem(sys.modules, name)
    assert notebook_picture(found) == ""
    assert "<table>" in found._repr_html_()
