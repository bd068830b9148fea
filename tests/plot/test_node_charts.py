"""Charts of landscapes carry the values at the nodes."""

import dask.array as da
import numpy as np
import pandas as pd
import pytest
from helpers.charts import drawn, panels, subtitle
from helpers.data import correlated
from numpy.testing import assert_allclose, assert_array_equal

from dask_igtm import IGTM, landscape, plot
from dask_igtm.landscape import Landscape

N = 400
K = 6


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
    table = drawn(plot.landscape(classes))
    assert_array_equal(table["label"], np.array(classes.columns)[classes.values.argmax(axis=1)])
    assert_allclose(table["share"], classes.values.max(axis=1), rtol=1e-5)


def test_names_of_classes_are_in_the_map_on_request(igtm, X, labels):
    chart = plot.landscape(landscape.classes(igtm, X, labels), names_in_map=True)
    at = {
        tuple(np.round(place, 4)): label for *place, label in drawn(chart)[["x1", "x2", "label"]].to_numpy()
    }
    named = pd.DataFrame(chart.to_dict()["layer"][-1]["data"]["values"])
    assert set(named["label"]) <= set(labels)
    assert len(named) > 0
    for label, *anchor in named[["label", "to1", "to2"]].to_numpy():
        assert at[tuple(np.round(anchor, 4))] == label


def test_rarer_classes_are_others(igtm, X):
    rows = np.sqrt(np.arange(N)).astype(int)  # twenty labels, the larger the more frequent
    labels = np.concatenate([rows[:-4], [97, 97, 98, 99]])
    classes = landscape.classes(igtm, X, labels)
    chart = plot.landscape(classes)
    scale = chart.to_dict()["encoding"]["color"]["scale"]
    assert scale["domain"] == [*map(str, range(1, 20)), "97", "other"]
    assert subtitle(chart)[-1].startswith("3 labels of")
    merged = classes.values[:, [classes.columns.index(label) for label in (0, 98, 99)]].sum(axis=1)
    table = drawn(chart)
    other = table["label"] == "other"
    assert_allclose(table["share"][other], merged[other], rtol=1e-5)
    tables = panels(plot.landscape(classes, columns=[4, 97]))
    for table, column in zip(tables, [4, 97], strict=True):
        assert_allclose(table["value"], classes.values[:, classes.columns.index(column)], rtol=1e-5)


def test_colours_of_classes_may_be_given(igtm, X, labels):
    classes = landscape.classes(igtm, X, labels)
    chart = plot.landscape(classes, colors={"middle": "#123456", "low": "teal"})
    scale = chart.to_dict()["encoding"]["color"]["scale"]
    assert scale["domain"] == ["middle", "low", "other"]
    assert scale["range"][:2] == ["#123456", "teal"]


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


# Components


def test_components_are_the_centres_in_their_units(igtm):
    chart = plot.components(igtm, columns=[2, 0], title="Planes")
    for table, column in zip(panels(chart), [2, 0], strict=True):
        assert_allclose(table[["x1", "x2"]], igtm.nodes_, rtol=1e-5)
        assert_allclose(table["value"], igtm.centers_[:, column], rtol=1e-4, atol=1e-5)
    spec = chart.to_dict()
    assert [panel["title"]["text"] for panel in spec["concat"]] == ["2", "0"]
    assert spec["title"]["text"] == "Planes"
    assert spec["concat"][0]["width"] < 200
    assert spec["resolve"]["scale"]["color"] == "independent"


def test_the_columns_that_vary_most_are_drawn_by_default():
    wide = correlated(N, 20)
    frame = pd.DataFrame(wide).add_prefix("c")
    fitted = IGTM(k=K, m=3, niter=8, solver="em", scale="center").fit(frame)
    order = np.argsort(-fitted.centers_.std(axis=0))  # of one noise
    titles = [panel["title"]["text"] for panel in plot.components(fitted).to_dict()["concat"]]
    assert titles == [f"c{column}" for column in order[:12]]
    for chosen in (["c3", "c19"], ("c19",)):
        parts = plot.components(fitted, chosen).to_dict()["concat"]
        assert [panel["title"]["text"] for panel in parts] == list(chosen)


def test_components_of_principal_axes_are_of_the_columns(X):
    fitted = IGTM(k=K, m=3, niter=8, solver="em", n_components=2).fit(X)
    for table, column in zip(panels(plot.components(fitted, [1, 3])), [1, 3], strict=True):
        assert_allclose(table["value"], fitted.centers_[:, column], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("columns", [[], ["mass"], [4]])
def test_columns_that_are_not_there_have_no_components(igtm, columns):
    with pytest.raises(ValueError, match=r"columns=\[.*\] has .*; give some of 0, 1, 2, 3\."):
        plot.components(igtm, columns)


def test_a_number_of_rows_is_told_as_it_is(igtm, X):
    def told(weight):
        return subtitle(plot.landscape(landscape.density(igtm, X, np.full(N, weight))))

    assert [told(w) for w in (1, 0.5, 1e3, 0.01, 1e-4)] == [
        "400 rows",
        "200 rows",
        "400,000 rows",
        "4 rows",
        "0.04 rows",
    ]


def test_nodes_without_a_value_are_left_out(igtm):
    values = np.arange(3.0 * K * K).reshape(-1, 3)
    values[5] = np.nan
    table = drawn(plot.landscape(Landscape("property", igtm.nodes_, ("mean", "std", "support"), values)))
    assert_allclose(table["value"], np.delete(values[:, 0], 5))


def test_a_column_without_any_value_is_an_empty_panel(igtm, X, y):
    found = landscape.property(igtm, X, np.column_stack([y, np.full(N, np.nan)]))
    full, empty = panels(plot.landscape(found))
    assert (len(full), len(empty)) == (K * K, 0)


@pytest.mark.parametrize("other", ["a", True])
def test_labels_of_several_types_are_refused_across_blocks(igtm, X, other):
    labels = da.from_array(np.array([1] * 200 + [other] * 200, dtype=object), chunks=200)
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
