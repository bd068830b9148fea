"""Charts of landscapes carry the values at the nodes."""

import dataclasses
import re

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import vl_convert
from helpers.charts import drawn, first_layer, panels, subtitle
from helpers.data import correlated
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.distance import cdist
from scipy.special import softmax

from dask_igtm import IGTM, landscape, plot
from dask_igtm.landscape import Landscape

N = 400
K = 6


def encodings(chart):
    spec = chart.to_dict()
    return [first_layer(panel)["encoding"] for panel in spec.get("concat", [spec])]


def limits(chart):
    return [encoding["color"]["scale"]["domain"] for encoding in encodings(chart)]


def legends(chart):
    return [encoding["color"]["title"] for encoding in encodings(chart)]


def titles(chart):
    return [first_layer(panel)["title"]["text"] for panel in chart.to_dict()["concat"]]


def shares(igtm, X):
    """Responsibilities (n, K), from distances."""
    return softmax(-cdist(X, igtm.centers_, "sqeuclidean") / 2 / igtm.noise_variance_[0], axis=1)


def opacities(support):
    """Logarithms of 1 + rows by that of the mean over rows of how many share their node, at most 1."""
    rows = np.average(support, weights=support)
    return np.array([min(np.log(1 + here) / np.log(1 + rows), 1) for here in support])


def test_a_density_is_drawn_node_by_node(igtm, X):
    density = landscape.density(igtm, X)
    table = drawn(plot.landscape(density))
    assert_allclose(table[["x1", "x2"]], igtm.nodes_, rtol=1e-5)
    assert_allclose(table["value"], density.values[:, 0], rtol=1e-5)
    support = plot.landscape(density, columns=["support"])
    assert_allclose(drawn(support)["value"], density.support, rtol=1e-5)
    assert legends(support) == ["rows"]


def test_no_rows_are_white(igtm, X, y):
    density = landscape.density(igtm, X)
    for chart in (
        plot.landscape(density),
        plot.landscape(landscape.property(igtm, X, y), columns=["support"]),
        plot.landscape(landscape.compare(igtm, {"one": X[:100], "other": X[100:]}), columns=["other"]),
    ):
        (encoding,) = encodings(chart)
        assert encoding["color"]["scale"]["range"][0] == "#ffffff"
        assert encoding["color"]["scale"]["domain"][0] == 0
        assert encoding["color"]["scale"]["type"] == "sqrt"
        assert "fillOpacity" not in encoding


def test_means_are_drawn_with_the_rows_that_they_are_of(igtm, X, y):
    values = landscape.property(igtm, X, y)
    table = drawn(plot.landscape(values, name="yield (%)"))
    assert_allclose(table[["value", "support"]], values.values[:, [0, 2]], rtol=1e-5)
    gappy = np.where(np.arange(N) < 50, np.nan, -y)
    both = landscape.property(igtm, X, pd.DataFrame({"a.b": y, "c[0]": gappy}))
    first, second = panels(plot.landscape(both))
    assert_allclose(first[["value", "support"]], both.values[:, [0, 2]], rtol=1e-5)
    assert_allclose(second[["value", "support"]], both.values[:, [3, 5]], rtol=1e-5)
    assert_allclose(second["shade"], opacities(both.values[:, 5]), rtol=1e-5)
    deviation = drawn(plot.landscape(both, columns=["c[0]_std"]))
    assert_allclose(
        deviation[["value", "support", "shade"]].to_numpy()[:, :2], both.values[:, [4, 5]], rtol=1e-5
    )


def test_means_are_pale_where_rows_are_few(igtm, X, y):
    found = landscape.property(igtm, X[:40], y[:40])
    chart = plot.landscape(found)
    shade = drawn(chart)["shade"]
    assert_allclose(shade, opacities(found.support), rtol=1e-5)
    assert (shade[found.support < 0.2] < 0.2).all()
    assert shade.min() < 0.2
    assert shade.max() == 1
    svg = vl_convert.vegalite_to_svg(chart.to_dict())  # as it is seen
    seen = [
        float(text) for text in re.findall(r'aria-roledescription="square".*?fill-opacity="([^"]*)"', svg)
    ]
    assert_allclose(seen, shade, atol=1e-3)
    assert "pale where they are few" in subtitle(chart)
    assert "size" not in encodings(chart)[0]


def test_a_node_has_its_most_probable_class(igtm, X, labels):
    classes = landscape.classes(igtm, X, labels)
    chart = plot.landscape(classes)
    table = drawn(chart)
    assert_array_equal(table["label"], np.array(classes.columns)[classes.values.argmax(axis=1)])
    assert_allclose(table["share"], classes.values.max(axis=1), rtol=1e-5)
    least = 1 / 3
    sure = 0.1 + 0.9 * (classes.values.max(axis=1) - least) / (1 - least)
    assert_allclose(table["shade"], opacities(classes.support) * sure, rtol=1e-4)
    assert encodings(chart)[0]["fillOpacity"]["scale"] == {"domain": [0, 1], "range": [0, 1]}
    assert subtitle(chart)[1].startswith("pale where they are few")


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
    assert subtitle(chart)[-1] == "3 other classes together"
    merged = classes.values[:, [classes.columns.index(label) for label in (0, 98, 99)]].sum(axis=1)
    table = drawn(chart)
    other = table["label"] == "other"
    assert_allclose(table["share"][other], merged[other], rtol=1e-5)
    tables = panels(plot.landscape(classes, columns=[4, 97]))
    for table, column in zip(tables, [4, 97], strict=True):
        assert_allclose(table["value"], classes.values[:, classes.columns.index(column)], rtol=1e-5)


@pytest.mark.parametrize("given", [{"scale": "log"}, {"domain": (0, 1)}, {"shared": True}])
def test_what_is_of_values_is_refused_of_classes(igtm, X, labels, given):
    with pytest.raises(ValueError, match=r"are of values; of classes give columns=\[...\] too"):
        plot.landscape(landscape.classes(igtm, X, labels), **given)
    with pytest.raises(ValueError, match="names_in_map=True is for classes in one panel"):
        plot.landscape(landscape.density(igtm, X), names_in_map=True)


def test_colours_of_classes_may_be_given(igtm, X, labels):
    classes = landscape.classes(igtm, X, labels)
    chart = plot.landscape(classes, colors={"middle": "#123456", "low": "teal"})
    scale = chart.to_dict()["encoding"]["color"]["scale"]
    assert scale["domain"] == ["middle", "low", "other"]
    assert scale["range"][:2] == ["#123456", "teal"]


def test_a_landscape_without_support_is_not_pale(igtm, X, labels):
    known = landscape.classes(igtm, X, labels)
    classes = dataclasses.replace(known, support=None, summary={})
    assert "fillOpacity" not in encodings(plot.landscape(classes, columns=["low"]))[0]
    alike = dataclasses.replace(known, support=np.ones(K * K), summary={})
    assert_array_equal(drawn(plot.landscape(classes))["shade"], drawn(plot.landscape(alike))["shade"])


def test_sets_are_compared_on_one_scale(igtm, X):
    for found in (
        landscape.compare(igtm, {"one": X[:100], "other": X[100:]}),
        landscape.coverage(igtm, X[:100], {"one": X[100:]}),
    ):
        chart = plot.landscape(found)
        for table, values in zip(panels(chart), found.values.T, strict=True):
            assert_allclose(table["value"], values, rtol=1e-5)
        assert_allclose(limits(chart), [[0, found.values.max()]] * 2)
        assert chart.to_dict()["resolve"]["scale"]["color"] == "shared"
        own = plot.landscape(found, shared=False)
        assert_allclose(limits(own), [[0, largest] for largest in found.values.max(axis=0)])
        assert own.to_dict()["resolve"]["scale"]["color"] == "independent"


# Words


@pytest.mark.parametrize(
    ("options", "title", "legend"),
    [
        ({}, "Mean", "mean"),
        ({"name": "yield (%)"}, "yield (%)", "mean"),
        ({"title": "Crops"}, "Crops", "mean"),
        ({"title": "Crops", "name": "yield (%)"}, "Crops", "mean, yield (%)"),
        ({"columns": ["std"]}, "Standard deviation", "standard deviation"),
        ({"columns": ["std"], "name": "%"}, "%", "standard deviation"),
        ({"columns": ["support"]}, "Rows", "rows"),
    ],
)
def test_words_of_one_value(igtm, X, y, options, title, legend):
    chart = plot.landscape(landscape.property(igtm, X, y), **options)
    assert chart.to_dict()["title"]["text"] == title
    assert legends(chart) == [legend]
    told = {field["field"]: field["title"] for field in encodings(chart)[0]["tooltip"]}
    assert told["value"] == legend
    assert told.get("support", "rows") == "rows"


def test_words_of_several_values(igtm, X):
    found = landscape.property(igtm, X, pd.DataFrame({"CD3D": X[:, 0], "a_mean": X[:, 1]}))
    chart = plot.landscape(found, name="log counts")
    assert titles(chart) == ["CD3D", "a_mean"]
    assert legends(chart) == ["mean, log counts"] * 2
    assert chart.to_dict()["title"]["text"] == "log counts"
    chart = plot.landscape(found, columns=["CD3D_mean", "CD3D_std", "CD3D_support"])
    assert titles(chart) == ["CD3D"] * 3
    assert legends(chart) == ["mean", "standard deviation", "rows"]
    assert chart.to_dict()["title"]["text"] == "Values at the nodes"
    (alone,) = legends(plot.landscape(found, columns=["a_mean_mean"], name="log counts"))
    assert alone == "mean, log counts"


# Colours


def test_colours_and_their_limits_are_chosen(igtm, X, y):
    found = landscape.property(igtm, X, np.column_stack([y, y**2]))
    chart = plot.landscape(found, columns=["y0_mean"], colors="diverging")
    largest = np.abs(found.values[:, 0]).max()
    assert_allclose(limits(chart), [[-largest, largest]])
    assert limits(plot.landscape(found, colors="magma", domain=(-3, 2))) == [[-3, 2]] * 2
    for shared in (True, False):
        chart = plot.landscape(found, shared=shared)
        means = found.part("mean")
        expected = (
            [[means.min(), means.max()]] * 2 if shared else np.column_stack([means.min(0), means.max(0)])
        )
        assert_allclose(limits(chart), expected)
    with pytest.raises(ValueError, match=r"colors='pretty'; give one of .*'cyclic'\)"):
        plot.landscape(found, colors="pretty")


# Sets beside each other


@pytest.fixture(scope="module")
def halves(X):
    order = np.argsort(X[:, 0])
    return X[order[:250]], X[order[200:]]


def segments(chart, panel, layer):
    """The sides that a line of a panel is drawn on."""
    drawn = chart.to_dict()["concat"][panel]["layer"][layer]
    lines = pd.DataFrame(drawn["data"]["values"])
    return {tuple(line) for line in lines[["x1", "x2", "to1", "to2"]].to_numpy().round(3).tolist()}


def around(mask, nodes):
    """The sides of the squares of some nodes that no two of them share."""
    half = 1 / (K - 1)
    sides = []
    for x1, x2 in nodes[mask]:
        low, high = np.array([x1, x2]) - half, np.array([x1, x2]) + half
        corners = [(low[0], low[1]), (high[0], low[1]), (high[0], high[1]), (low[0], high[1])]
        sides += [sorted([corners[i], corners[i - 1]]) for i in range(4)]
    rounded = [tuple(np.round(np.ravel(side), 3).tolist()) for side in sides]
    return {side for side in rounded if rounded.count(side) == 1}


def test_coverage_outlines_what_either_of_two_sets_leaves(igtm, halves):
    reference, query = halves
    found = landscape.coverage(igtm, reference, {"new": query, "old": reference}, min_support=3)
    chart = plot.landscape(found)
    old, new = (shares(igtm, rows).sum(axis=0) for rows in halves)
    uncovered, outside = (old >= 3) & (new < 3), (new >= 3) & (old < 3)
    assert uncovered.any()
    assert outside.any()
    assert segments(chart, 0, 1) == around(uncovered, igtm.nodes_)
    assert segments(chart, 0, 2) == around(outside, igtm.nodes_)
    covered, solid, dashed = first_layer(chart.to_dict()["concat"][0])["title"]["subtitle"]
    assert covered == f"{new[old >= 3].sum() / 200:.1%} of 200 rows lie where the reference has 3 or more"
    assert f"{uncovered.sum()} nodes with {old[uncovered].sum() / 250:.1%} of the reference" in solid
    assert f"{outside.sum()} nodes with {new[outside].sum() / 200:.1%}," in dashed
    assert chart.to_dict()["concat"][1]["layer"][1]["data"]["values"] == []
    assert titles(chart) == ["new", "old", "reference"]
    told = panels(chart)[0]
    assert_allclose(told[["rows", "support"]], np.column_stack([new, old]), rtol=1e-4, atol=1e-6)


def test_coverage_of_an_earlier_file_has_no_outlines(igtm, halves):
    found = landscape.coverage(igtm, *halves)
    earlier = dataclasses.replace(found, summary={name: found.summary[name] for name in ("n_rows", "query")})
    query, reference = plot.landscape(earlier).to_dict()["concat"]
    assert "layer" not in query
    share = f"{found.summary['query']:.1%} of the rows lie where the reference has rows"
    assert query["title"]["subtitle"] == share
    assert reference["title"]["subtitle"] == "250 rows"
    with pytest.raises(ValueError, match=r"how many rows 'query' and 'reference' have.*anew"):
        plot.landscape(earlier, relative_to="reference")


@pytest.mark.parametrize("kind", ["compare", "coverage"])
def test_densities_relative_to_another(igtm, halves, kind):
    one, other = halves[0], halves[1][:120]
    if kind == "compare":
        found, base = landscape.compare(igtm, {"a": one, "b": other, "c": one}), "b"
    else:
        found, base = landscape.coverage(igtm, other, {"a": one, "c": one}), "reference"
    rows, beside = (shares(igtm, X).sum(axis=0) for X in (one, other))
    ratio = (rows * 120 / 250 + 0.5) / (beside + 0.5)  # as if both were as few as the smaller set
    chart = plot.landscape(found, relative_to=base)
    assert titles(chart) == ["a", "c"]
    for table in panels(chart):
        assert_allclose(table["value"], ratio, rtol=1e-4)
        assert_allclose(table["shade"], opacities(rows + beside), rtol=1e-4)
        assert_allclose(table[["rows", "support"]], np.column_stack([rows, beside]), rtol=1e-4, atol=1e-6)
    fold = max(ratio.max(), 1 / ratio.min())
    assert fold > 2
    assert_allclose(limits(chart), [[1 / fold, fold]] * 2, rtol=1e-4)
    assert legends(chart) == ["times as dense"] * 2
    assert chart.to_dict()["title"]["text"] == f"Density relative to {base}"
    single = plot.landscape(found, columns=["a", base], relative_to=base, domain=(0.25, 8))
    assert subtitle(single) == f"250 rows beside 120 of {base}; pale where both are few"
    (encoding,) = encodings(single)
    assert encoding["color"]["scale"]["domain"] == [0.25, 8]
    assert encoding["color"]["legend"]["values"] == [0.25, 0.5, 1, 2, 4, 8]
    (narrow,) = encodings(plot.landscape(found, columns=["a"], relative_to=base, domain=(0.9, 1.1)))
    assert "values" not in narrow["color"]["legend"]


def test_equal_sets_are_nearly_white_and_few_rows_too(igtm, X):
    same = landscape.compare(igtm, {"a": X, "b": X})
    chart = plot.landscape(same, relative_to="b")
    assert_allclose(drawn(chart)["value"], 1)
    assert limits(chart) == [[0.5, 2]]
    far = landscape.compare(igtm, {"a": X[:1], "b": np.repeat(X[:1], 300, axis=0)})
    assert_allclose(drawn(plot.landscape(far, relative_to="b"))["value"], 1)


def test_what_has_no_ratio_is_refused(igtm, X):
    sets = landscape.compare(igtm, {"a": X, "b": X[:50]})
    with pytest.raises(ValueError, match=r"relative_to='c'; give one of \['a', 'b'\]"):
        plot.landscape(sets, relative_to="c")
    with pytest.raises(ValueError, match="Nothing but 'a' itself"):
        plot.landscape(sets, columns=["a"], relative_to="a")
    with pytest.raises(ValueError, match=r"kind 'density'; give it for the sets of landscape\.compare"):
        plot.landscape(landscape.density(igtm, X), relative_to="support")


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
