"""A landscape as a table that prints, goes to pandas, and comes back from a file."""

import dataclasses
import re
import sys
from html import unescape

import numpy as np
import pytest
import xarray as xr
from helpers.rewritten import rewritten
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_iris

from dask_igtm import IGTM, landscape, load
from dask_igtm.data import npz_io

X, SPECIES = load_iris(return_X_y=True)
SIZES = X[:, :3] * [1.0, 10.0, -2.0] + [0.0, 5.0, 100.0]
N = len(X)


@pytest.fixture(scope="module")
def igtm():
    return IGTM(k=6, m=3, niter=10, scale="standard").fit(X)


def test_a_landscape_comes_back_from_a_file(igtm, tmp_path):
    for found in (landscape.coverage(igtm, X[:50], X), landscape.magnification(igtm)):
        found.save(tmp_path / "landscape")
        back = landscape.Landscape.load(tmp_path / "landscape")
        assert (back.kind, back.columns, back.summary) == (found.kind, found.columns, found.summary)
        assert back.values.tobytes() == found.values.tobytes()
        assert_array_equal(back.nodes, found.nodes)
        assert (back.support is None) == (found.support is None)
    with pytest.raises(ValueError, match="not a dask_igtm model"):
        load(tmp_path / "landscape")


def test_a_dataset_lies_on_the_grid(igtm, monkeypatch):
    for found in (
        landscape.classes(igtm, X, SPECIES),
        landscape.density(igtm, X),
        landscape.magnification(igtm),
        landscape.property(igtm, X, SIZES),
    ):
        grid = found.to_xarray()
        assert dict(grid.sizes) == {"x1": 6, "x2": 6}
        assert grid.attrs == {"kind": found.kind, **found.summary}
        names = [str(column) for column in found.columns]
        others = {"support"} if found.support is not None else set()
        assert set(grid) == set(names) | others
        for name, values in zip(names, found.values.T, strict=True):
            nodes = xr.DataArray(igtm.nodes_, dims=("node", "axis"))
            at_nodes = grid[name].sel(x1=nodes[:, 0], x2=nodes[:, 1])
            assert_array_equal(at_nodes, values)
        if found.support is not None:
            assert_array_equal(grid["support"].values.ravel(), found.support)
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(ImportError, match="pip install"):
        found.to_xarray()


def test_a_frame_has_one_row_a_node(igtm, monkeypatch):
    frame = landscape.classes(igtm, X, SPECIES).to_frame()
    assert frame.columns.tolist() == ["x1", "x2", 0, 1, 2]
    assert_array_equal(frame[["x1", "x2"]], igtm.nodes_)
    density = landscape.density(igtm, X)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install"):
        density.to_frame()


def test_a_landscape_prints_as_a_small_table(igtm):
    text = str(landscape.density(igtm, X))
    assert "density on 36 nodes" in text
    assert "n_rows: 150" in text
    assert len(text.splitlines()) == 5
    many = str(landscape.classes(igtm, X, np.arange(N)))
    assert "and 140 more columns" in many
    assert len(many.splitlines()) < 16
    assert "nan" in str(landscape.property(igtm, X, np.column_stack([SIZES[:, 0], np.full(N, np.nan)])))


def test_parts_have_names(igtm):
    found = landscape.property(igtm, X, SIZES)
    assert found.parts == ("mean", "std", "support")
    for part in found.parts:
        each = [landscape.property(igtm, X, column).part(part)[:, 0] for column in SIZES.T]
        assert_allclose(found.part(part), np.column_stack(each), rtol=2e-12)
        assert found.columns_of(part) == tuple(f"y{i}_{part}" for i in range(3))
    density = landscape.density(igtm, X)
    assert density.parts == ("density", "support")
    assert_array_equal(density.part("support")[:, 0], density.support)
    assert landscape.magnification(igtm).part("value").shape == (36, 1)
    with pytest.raises(ValueError, match=r"part='median'.*'mean', 'std', 'support'"):
        found.part("median")


@pytest.mark.parametrize(
    ("name", "array", "reason"),
    [
        ("nodes", np.zeros((64, 2)), "nodes is not what it has to be"),
        ("values", np.ones((64, 3)), r"values has shape \(64, 3\), and \(64, 2\)"),
        ("columns", np.array([["density", "support"]]), "none of density"),
        ("support", np.full(64, np.nan), "support has entries that are not finite"),
    ],
)
def test_a_file_with_other_arrays_is_refused(tmp_path, name, array, reason):
    landscape.density(IGTM(k=8, niter=2).fit(X), X).save(tmp_path / "landscape")
    file = rewritten(
        tmp_path / "landscape", npz_io.LANDSCAPE, arrays=lambda arrays: arrays.update({name: array})
    )
    with pytest.raises(ValueError, match=rf"landscape' is not a file saved .*damaged: .*{reason}"):
        landscape.load_landscape(file)


def test_a_figure_that_is_not_known_comes_back(tmp_path):
    found = dataclasses.replace(landscape.density(IGTM(k=4, niter=2).fit(X), X), summary={"n_rows": np.nan})
    found.save(tmp_path / "landscape")
    assert "n_rows: nan" in repr(landscape.load_landscape(tmp_path / "landscape"))


def test_what_it_shows_is_one_line_a_name():
    X = load_iris().data
    igtm = IGTM(k=4, m=2, niter=2).fit(X)
    shown = repr(landscape.coverage(igtm, X, {"\x1b[2J\n\ud800": X}))
    assert shown.count(r"\x1b[2J\n\ud800") == 3
    assert "\x1b" not in shown
    assert len(shown.splitlines()) == 8


def test_a_notebook_shows_a_picture_and_the_table(igtm):
    found = landscape.classes(igtm, X, np.array(["a", "</table><script>", "\x1b"], dtype=object)[SPECIES])
    html = found._repr_html_()
    assert html.count("<img ") == 1
    assert "<script" not in html
    assert "\x1b" not in html
    told = re.sub(r"\s+", " ", unescape(re.sub(r"<(?!/table><s)[^>]*>", " ", html)))
    assert told.split() == repr(found).split()


def test_a_notebook_shows_as_many_columns_as_text_does(igtm):
    html = landscape.classes(igtm, X, np.arange(N))._repr_html_()
    assert "and 140 more columns" in html
    assert html.count('<th scope="row"') == 10
