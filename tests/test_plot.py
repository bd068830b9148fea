"""Charts carry the figures they stand for, and no more of the rows than a picture needs."""

import itertools
import subprocess
import sys

import altair as alt
import dask.array as da
import numpy as np
import pandas as pd
import pytest
import zarr
from helpers.data import correlated
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from dask_igtm import IGTM, landscape, plot
from dask_igtm.landscape import Landscape
from dask_igtm.plot.style import Canvas
from dask_igtm.statistics import map_bins

N = 400
K = 6
EDGES = np.linspace(-K / (K - 1), K / (K - 1), 12 * K + 1)  # 12 bins a node, from the outer edges of nodes
CENTRES = (EDGES[1:] + EDGES[:-1]) / 2


@pytest.fixture(scope="module")
def X():  # noqa: N802
    return correlated(N, 4)


@pytest.fixture(scope="module")
def igtm(X):
    return IGTM(k=K, m=3, niter=8).fit(X)


@pytest.fixture(scope="module")
def y(X):
    return X[:, 0] * 10


@pytest.fixture(scope="module")
def labels(X):
    return np.array(["low", "middle", "high"])[np.digitize(X[:, 0], np.quantile(X[:, 0], [0.3, 0.6]))]


def drawn(chart):
    """Records of the first layer of a chart, as a frame; the specification is validated by the way."""
    spec = chart.to_dict()
    return pd.DataFrame((spec if "data" in spec else spec["layer"][0])["data"]["values"])


def panels(chart):
    return [pd.DataFrame(panel["data"]["values"]) for panel in chart.to_dict()["concat"]]


def subtitle(chart):
    spec = chart.to_dict()
    return (spec["layer"][0] if "layer" in spec else spec)["title"]["subtitle"]


def grid(table, column):
    """Lay out a column of binned records as an array of bins."""
    first, second = np.abs(CENTRES - table[["x1", "x2"]].to_numpy()[:, :, None]).argmin(axis=2).T
    values = table[column].to_numpy()
    result = np.zeros((len(CENTRES), len(CENTRES)), values.dtype)
    result[first, second] = values
    return result


def binned(igtm, X, **look):
    return drawn(plot.projection(igtm, X, max_points=0, n_bins=12 * K, **look))


# Rows


def test_few_rows_are_points_at_their_means(igtm, X):
    table = drawn(plot.projection(igtm, X))
    assert_allclose(table[["x1", "x2"]], igtm.transform(X), rtol=1e-5)
    assert_array_equal(table["row"], np.arange(N))


def test_points_carry_values_and_labels(igtm, X, y, labels):
    assert_allclose(drawn(plot.projection(igtm, X, y=y))["value"], y, rtol=1e-5)
    assert_array_equal(drawn(plot.projection(igtm, X, labels=labels))["label"], labels)


@pytest.mark.parametrize(("max_points", "points"), [(N, True), (N - 1, False)])
def test_more_rows_than_max_points_are_binned(igtm, X, max_points, points):
    chart = plot.projection(igtm, da.from_array(X, chunks=(150, -1)), max_points=max_points)
    assert ("row" in drawn(chart)) is points
    assert subtitle(chart).startswith(f"{N} rows at their posterior means")
    assert ("bins" in subtitle(chart)) is not points


def test_bins_count_all_rows(igtm, X):
    expected = np.histogram2d(*igtm.transform(X).T, bins=EDGES)[0]
    table = binned(igtm, X)
    assert table["value"].sum() == N
    assert_array_equal(grid(table, "value"), expected)


def test_bins_have_the_mean_of_their_values(igtm, X, y):
    counts, sums = (np.histogram2d(*igtm.transform(X).T, bins=EDGES, weights=w)[0] for w in [None, y])
    table = binned(igtm, X, y=y)
    assert_array_equal(grid(table, "rows"), counts)
    assert_allclose(grid(table, "value"), np.divide(sums, counts, where=counts > 0, out=sums), rtol=1e-5)


def test_bins_have_their_most_frequent_label_and_its_share(igtm, X, labels):
    means, names = igtm.transform(X), np.unique(labels)
    counts = np.array([np.histogram2d(*means[labels == name].T, bins=EDGES)[0] for name in names])
    table = binned(igtm, X, labels=labels)
    seen = counts.sum(axis=0) > 0
    assert_array_equal(grid(table, "label")[seen], names[counts.argmax(axis=0)][seen])
    share = counts.max(axis=0)[seen] / counts.sum(axis=0)[seen]
    assert_allclose(grid(table, "certainty")[seen], share, rtol=1e-5)


@pytest.mark.parametrize("max_points", [0, 1000])
def test_every_kind_of_input_gives_the_same_picture(igtm, X, labels, max_points, tmp_path):
    stored = zarr.create_array(tmp_path / "x.zarr", data=X, chunks=(100, 4))
    unknown = da.from_array(X, chunks=(130, -1))
    unknown = unknown[unknown[:, 0] > -np.inf]
    lazy_labels = da.from_array(labels, chunks=90)
    kinds = [(X, labels), (X.tolist(), labels.astype(object)), (stored, lazy_labels)]
    kinds += [(str(tmp_path / "x.zarr"), pd.Series(labels)), (unknown, lazy_labels.rechunk(130))]
    specs = [plot.projection(igtm, x, labels=own, max_points=max_points).to_dict() for x, own in kinds]
    assert all(spec == specs[0] for spec in specs)


def test_rows_without_a_value_are_left_out_and_counted(igtm, X, y, labels):
    y, labels = y.copy(), labels.astype(object)
    y[[3, 7]] = np.nan
    labels[5], labels[350] = None, np.nan
    chart = plot.projection(igtm, da.from_array(X, chunks=(64, -1)), y=y)
    assert subtitle(chart) == f"{N - 2} rows at their posterior means; 2 without a value left out"
    assert_array_equal(drawn(chart)["row"], np.delete(np.arange(N), [3, 7]))
    chart = plot.projection(igtm, X, labels=labels, max_points=0)
    assert "2 without a label left out" in subtitle(chart)
    assert drawn(chart)["rows"].sum() == N - 2


def test_a_picture_is_one_pass_and_small(igtm):
    computed = []

    def rows(block_id):
        computed.append(block_id[0])
        return correlated(5000, 4, seed=block_id[0])

    X = da.map_blocks(rows, chunks=((5000,) * 12, (4,)), dtype=float, meta=np.empty((0, 0)))
    table = drawn(plot.projection(igtm, X, y=X[:, 1]))
    assert_array_equal(np.bincount(computed), np.full(12, 2))  # once for X, once for y, which is made of it
    assert table["rows"].sum() == 60_000
    assert len(table) <= 102**2


def test_the_name_of_a_series_is_that_of_the_legend(igtm, X, y):
    def legend(**look):
        return plot.projection(igtm, X, **look).to_dict()["encoding"]["color"]["title"]

    assert legend(y=pd.Series(y, name="yield (%)")) == "yield (%)"
    assert legend(y=pd.Series(y, name="yield (%)"), name="mass (g)") == "mass (g)"
    assert legend(y=da.from_array(y)) == "value"


def test_maps_are_square_and_whole_pixels(igtm, X):
    for chart in (plot.projection(igtm, X), plot.magnification(igtm)):
        spec = chart.to_dict()
        assert spec["width"] == spec["height"]
        assert spec["width"] % K == 0
        domains = [spec["encoding"][axis]["scale"]["domain"] for axis in "xy"]
        assert_allclose(domains, [[-1.2, 1.2]] * 2)


def test_what_is_not_selected_is_faded(igtm, X):
    region = alt.selection_interval(name="region", encodings=["x", "y"])
    for chart in (plot.projection(igtm, X, selection=region), plot.magnification(igtm, selection=region)):
        opacity = chart.add_params(region).to_dict()["encoding"]["opacity"]
        assert opacity["condition"]["param"] == "region"
        assert opacity["value"] < 0.1


@pytest.mark.parametrize(
    ("look", "message"),
    [
        ({"y": np.ones(N), "labels": np.ones(N, int)}, "y and labels are both given; give one"),
        ({"y": np.ones((N, 2))}, "one of the 2 columns"),
        ({"y": np.full(N, np.nan)}, "every value or label is missing"),
        ({"y": np.array(["a"] * N)}, "not a real number"),
        ({"y": np.zeros(N), "scale": "log"}, "above 0; give 'symlog'"),
        ({"y": np.ones(N), "scale": "cubic"}, "scale='cubic'; give one of"),
        ({"labels": np.arange(N) % 11}, "more than 10 labels.*merge the rare ones"),
        ({"labels": np.linspace(0, 1, N)}, "fractions"),
        ({"n_bins": 0}, "n_bins=0; give a whole number from 1 to 300"),
        ({"max_points": 10**6}, "max_points=1000000; give a whole number from 0 to 20000"),
    ],
)
def test_what_cannot_be_drawn_is_refused(igtm, X, look, message):
    with pytest.raises(ValueError, match=message):
        plot.projection(igtm, X, **look)


@settings(max_examples=25, deadline=None)
@given(
    cuts=st.lists(st.integers(0, 60), max_size=4), limit=st.sampled_from([0, 59, 60]), labelled=st.booleans()
)
def test_spreads_of_parts_add_up_to_that_of_the_whole(igtm, X, y, labels, cuts, limit, labelled):
    function, column = (map_bins.of_labels, labels) if labelled else (map_bins.of_values, y)

    def spread(rows):
        return function(X[rows], None, column[rows], igtm.model_, "numpy", EDGES, limit)

    bounds = sorted({0, 60, *cuts})
    parts = [spread(slice(*pair)) for pair in itertools.pairwise(bounds)]
    total, whole = sum(parts[1:], parts[0]), spread(slice(0, 60))
    assert_array_equal(total.counts, whole.counts)
    assert total.log_likelihood == pytest.approx(whole.log_likelihood)
    assert (total.points is None) == (whole.points is None) == (limit < 60)
    if total.points:
        assert_array_equal(total.points.rows, np.arange(60))
        assert_array_equal(total.points.values, whole.points.values)
    if labelled:
        assert total.labels.keys() == whole.labels.keys()
        assert all((total.labels[label] == whole.labels[label]).all() for label in whole.labels)
    else:
        assert_allclose(total.sums, whole.sums, atol=1e-12)


# Landscapes


def test_a_density_is_drawn_node_by_node(igtm, X):
    density = landscape.density(igtm, X)
    table = drawn(plot.landscape(density))
    assert_allclose(table[["x1", "x2"]], igtm.nodes_, rtol=1e-5)
    assert_allclose(table["value"], density.values[:, 0], rtol=1e-5)
    support = plot.landscape(density, columns=["support"])
    assert_allclose(drawn(support)["value"], density.support, rtol=1e-5)
    assert support.to_dict()["encoding"]["color"]["title"] == "rows"


def test_means_are_drawn_with_the_rows_that_they_are_of(igtm, X, y):
    values = landscape.property(igtm, X, y)
    table = drawn(plot.landscape(values, name="yield (%)"))
    assert_allclose(table[["value", "support"]], values.values[:, [0, 2]], rtol=1e-5)
    gappy = np.where(np.arange(N) < 50, np.nan, -y)
    both = landscape.property(igtm, X, pd.DataFrame({"a.b": y, "c[0]": gappy}))
    first, second = panels(plot.landscape(both))
    assert_allclose(first[["value", "support"]], both.values[:, [0, 2]], rtol=1e-5)
    assert_allclose(second[["value", "support"]], both.values[:, [3, 5]], rtol=1e-5)
    deviation = drawn(plot.landscape(both, columns=["c[0]_std"]))
    assert_allclose(deviation[["value", "support"]], both.values[:, [4, 5]], rtol=1e-5)


def test_a_node_has_its_most_probable_class(igtm, X, labels):
    classes = landscape.classes(igtm, X, labels)
    chart = plot.landscape(classes)
    table = drawn(chart)
    assert_array_equal(table["label"], np.array(classes.columns)[classes.values.argmax(axis=1)])
    assert_allclose(table["certainty"], classes.values.max(axis=1), rtol=1e-5)
    named = pd.DataFrame(chart.to_dict()["layer"][-1]["data"]["values"])
    at = {tuple(np.round(place, 4)): label for *place, label in table[["x1", "x2", "label"]].to_numpy()}
    assert all(at[tuple(np.round(place, 4))] == label for *place, label in named.to_numpy())


def test_more_than_ten_classes_need_columns(igtm, X):
    classes = landscape.classes(igtm, X, np.arange(N) % 11)
    with pytest.raises(ValueError, match=r"11 classes.*give columns=\[...\]"):
        plot.landscape(classes)
    tables = panels(plot.landscape(classes, columns=[4, 10]))
    for table, column in zip(tables, [4, 10], strict=True):
        assert_allclose(table["value"], classes.values[:, column], rtol=1e-5)


def test_sets_are_compared_on_one_scale(igtm, X):
    for found in (
        landscape.compare(igtm, {"one": X[:100], "other": X[100:]}),
        landscape.coverage(igtm, X[:100], {"one": X[100:]}),
    ):
        chart = plot.landscape(found)
        for table, values in zip(panels(chart), found.values.T, strict=True):
            assert_allclose(table["value"], values, rtol=1e-5)
        domains = [panel["encoding"]["color"]["scale"]["domain"] for panel in chart.to_dict()["concat"]]
        assert_allclose(domains, [[0, found.values.max()]] * 2)


def test_nodes_without_a_value_are_left_out(igtm):
    values = np.arange(3.0 * K * K).reshape(-1, 3)
    values[5] = np.nan
    table = drawn(plot.landscape(Landscape("property", igtm.nodes_, ("mean", "std", "support"), values)))
    assert_allclose(table["value"], np.delete(values[:, 0], 5))


def test_a_column_without_any_value_is_an_empty_panel(igtm, X, y):
    found = landscape.property(igtm, X, np.column_stack([y, np.full(N, np.nan)]))
    full, empty = panels(plot.landscape(found))
    assert (len(full), len(empty)) == (K * K, 0)


def test_labels_of_several_types_are_refused_across_blocks(igtm, X):
    labels = da.from_array(np.array([1] * 200 + ["a"] * 200, dtype=object), chunks=200)
    with pytest.raises(ValueError, match="give them as strings"):
        plot.projection(igtm, da.from_array(X, chunks=(200, -1)), labels=labels)


def test_unknown_columns_are_refused(igtm, X):
    for columns in (["nothing"], []):
        with pytest.raises(ValueError, match=r"give some of \['density', 'support'\]"):
            plot.landscape(landscape.density(igtm, X), columns=columns)


def test_magnification_is_drawn_on_a_log_scale_where_it_can(igtm):
    chart = plot.magnification(igtm)
    assert_allclose(drawn(chart)["value"], landscape.magnification(igtm).values[:, 0], rtol=1e-5)
    assert chart.to_dict()["encoding"]["color"]["scale"]["type"] == "log"
    flat = Landscape("magnification", igtm.nodes_, ("magnification",), np.zeros((K * K, 1)))
    assert plot.landscape(flat).to_dict()["encoding"]["color"]["scale"]["type"] == "linear"


@pytest.mark.parametrize("k", [1, 2, 7, 40, 250])
def test_canvas_of_any_map(k):
    canvas = Canvas.of(np.zeros((k * k, 2)))
    assert canvas.edges[0] <= -1 < 1 <= canvas.edges[-1]
    assert len(canvas.edges) == k * canvas.per_node + 1
    assert canvas.node_pixels == canvas.per_node * canvas.bin_pixels
    assert 200 <= k * canvas.node_pixels <= 500


# History


@pytest.mark.parametrize(
    ("niter", "ending"), [(500, "Converged after "), (1, "Not converged after 1 iteration")]
)
def test_history_ends_with_the_fitted_likelihood(X, niter, ending):
    igtm = IGTM(k=K, m=3, niter=niter).fit(X)
    chart = plot.history(igtm)
    spec = chart.to_dict()
    assert spec["layer"][0]["title"]["subtitle"].startswith(ending)
    table = drawn(chart)
    assert_array_equal(table["iteration"], np.arange(igtm.n_iter_ + 1))
    assert_allclose(table["value"], [*igtm.history_, igtm.log_likelihood_])


def test_history_of_a_stream_has_its_blocks(X):
    igtm = IGTM(k=K, m=3).partial_fit(X[:200]).partial_fit(X[200:])
    assert_allclose(drawn(plot.history(igtm))["value"], igtm.history_)


# The extra


def test_pictures_are_saved_as_png(igtm, X, labels, tmp_path):
    plot.projection(igtm, X, labels=labels).save(tmp_path / "map.png")
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")


def test_altair_is_loaded_with_plot_alone_and_missed_by_name():
    code = """if True:
        import sys, dask_igtm
        from dask_igtm import *
        assert "altair" not in sys.modules
        sys.modules["altair"] = None
        try:
            dask_igtm.plot.projection
        except ImportError as error:
            assert "pip install 'dask_igtm[plot]'" in str(error)
        else:
            raise AssertionError
    """
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_table_of_one_column_is_a_column(igtm, X, y):
    one, other = (drawn(plot.projection(igtm, X, y=values, max_points=0)) for values in (y, y[:, None]))
    pd.testing.assert_frame_equal(one, other)
