"""Charts of rows carry their figures, and no more of the rows than a picture needs."""

import altair as alt
import dask.array as da
import numpy as np
import pandas as pd
import pytest
import zarr
from helpers.charts import drawn, subtitle
from helpers.data import correlated
from helpers.lazy import computing
from numpy.testing import assert_allclose, assert_array_equal

from dask_igtm import IGTM, plot

N = 400
K = 6
EDGES = np.linspace(-K / (K - 1), K / (K - 1), 12 * K + 1)  # 12 bins a node, from the outer edges of nodes
CENTRES = (EDGES[1:] + EDGES[:-1]) / 2


def grid(table, column):
    """Lay out a column of binned records as an array of bins."""
    first, second = np.abs(CENTRES - table[["x1", "x2"]].to_numpy()[:, :, None]).argmin(axis=2).T
    values = table[column].to_numpy()
    result = np.zeros((len(CENTRES), len(CENTRES)), values.dtype)
    result[first, second] = values
    return result


def binned(igtm, X, **look):
    return drawn(plot.projection(igtm, X, max_points=0, n_bins=12 * K, **look))


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
    assert subtitle(chart)[0].startswith(f"{N} rows at their posterior means")
    assert ("bins" in subtitle(chart)[0]) is not points
    assert "lattice is none of the data" in subtitle(chart)[1]


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
    assert_allclose(grid(table, "share")[seen], share, rtol=1e-5)


def test_bins_are_opaque_by_the_logarithm_of_their_rows(igtm, X, y):
    for look in ({"y": y}, {"labels": np.ones(N, int)}):
        table = binned(igtm, X, **look)
        rows, opacity = table["rows"].to_numpy(), table["shade"].to_numpy()
        typical = (rows**2).sum() / rows.sum()
        assert_allclose(opacity, np.minimum(np.log(1 + rows) / np.log(1 + typical), 1), rtol=1e-5)
    weight = np.where(np.arange(N) < 200, 1.0, 100.0)
    light, heavy = binned(igtm, np.vstack([X[:1]] * 100 + [X[-1:]]), labels=[1] * 101)["shade"].sort_values()
    assert heavy == 1
    assert light < 0.2
    mixed = binned(igtm, X, labels=np.arange(N) % 2, sample_weight=weight)
    assert (mixed["shade"] <= 1).all()


def test_numbers_of_rows_begin_with_white(igtm, X):
    scale = plot.projection(igtm, X, max_points=0).to_dict()["encoding"]["color"]["scale"]
    assert scale["domain"][0] == 0
    assert scale["range"][0] == "#ffffff"


# Labels


MANY = np.sqrt(np.arange(N)).astype(int) + 10  # twenty, the larger the more frequent


@pytest.mark.parametrize("max_points", [0, N])
def test_twenty_labels_have_colours_and_rarer_ones_are_others(igtm, X, max_points):
    chart = plot.projection(igtm, X, labels=MANY, max_points=max_points)
    domain = chart.to_dict()["encoding"]["color"]["scale"]["domain"]
    assert domain == [str(label) for label in range(10, 30)]
    rarer = np.where(np.arange(N) < 8, 90 + np.arange(N) % 4, MANY)
    chart = plot.projection(igtm, X, labels=rarer, max_points=max_points)
    encoding = chart.to_dict()["encoding"]
    kept = [*range(13, 30), 90, 91, 92]  # of 12 one row is left, and of 90 to 93 two each
    assert encoding["color"]["scale"]["domain"] == [*map(str, kept), "other"]
    assert encoding["color"]["legend"]["labelLimit"] == 0
    assert subtitle(chart)[-1] == "2 labels of 0.8% of the rows as other"
    assert "other" in set(drawn(chart)["label"])


def test_a_thousand_labels_are_the_most(igtm):
    X = correlated(1_500, 4)
    assert len(drawn(plot.projection(igtm, X, labels=np.arange(1_500) % 1_000, max_points=0))) > 20
    with pytest.raises(ValueError, match="more than 1000 labels; merge the rare ones"):
        plot.projection(igtm, X, labels=np.arange(1_500) % 1_001)


@pytest.mark.parametrize("max_points", [0, N])
def test_names_are_in_the_map_on_request_alone(igtm, X, labels, max_points):
    plain = plot.projection(igtm, X, labels=labels, max_points=max_points)
    assert "layer" not in plain.to_dict()
    spec = plot.projection(igtm, X, labels=labels, max_points=max_points, names_in_map=True).to_dict()
    named = pd.DataFrame(spec["layer"][-1]["data"]["values"])
    assert set(named["label"]) <= set(labels)
    assert len(named) > 0


def test_labels_follow_each_other_as_their_categories(igtm, X, labels):
    ordered = pd.Series(pd.Categorical(labels, ["low", "none", "middle", "high"]), name="height")
    encoding = plot.projection(igtm, X, labels=ordered).to_dict()["encoding"]["color"]
    assert encoding["scale"]["domain"] == ["low", "middle", "high"]
    assert encoding["title"] == "height"


# Tooltips


def told(chart):
    """Return what tooltips tell of the points by what they call it, besides what the package says."""
    spec = chart.to_dict()
    titles = {
        tip["field"]: tip["title"] for tip in spec["encoding"]["tooltip"] if tip["field"].startswith("told")
    }
    return drawn(chart)[list(titles)].rename(columns=titles)


TOWNS = [f"town {number}" for number in range(N)]


def test_tooltips_tell_ids_and_chosen_columns(igtm, X, labels):
    frame = pd.DataFrame(X, index=pd.Index(TOWNS, name="town"))
    beside = pd.DataFrame({"a.b": np.arange(N) / 2, "c": TOWNS[::-1], "gap": [None] * N}, frame.index)
    found = told(plot.projection(igtm, frame, labels=labels, tooltip=beside))
    assert list(found.columns) == ["town", "a.b", "c", "gap"]
    assert list(found["town"]) == TOWNS
    assert_allclose(found["a.b"].astype(float), np.arange(N) / 2)
    assert list(found["c"]) == TOWNS[::-1]
    assert set(found["gap"]) == {""}


def test_tooltips_of_lazy_rows_stay_with_them(igtm, X, y):
    y = np.where(np.arange(N) % 3 == 0, np.nan, y)
    lazy = da.from_array(X, chunks=(64, -1))
    beside = {"number": da.arange(N, chunks=90), "town": np.array(TOWNS)}
    chart = plot.projection(igtm, lazy, y=y, tooltip=beside)
    found = told(chart)
    kept = np.flatnonzero(np.arange(N) % 3)
    assert_array_equal(drawn(chart)["row"], kept)
    assert_array_equal(found["number"].astype(int), kept)
    assert list(found["town"]) == [TOWNS[row] for row in kept]


def test_tooltips_may_be_polars_or_a_series(igtm, X):
    pl = pytest.importorskip("polars")
    assert list(told(plot.projection(igtm, X, tooltip=pl.DataFrame({"town": TOWNS})))["town"]) == TOWNS
    assert list(told(plot.projection(igtm, X, tooltip=pd.Series(TOWNS, name="town")))["town"]) == TOWNS
    assert list(told(plot.projection(igtm, X, tooltip=TOWNS))["tooltip"]) == TOWNS


def test_tooltips_tell_dates_gaps_and_all_digits(igtm, X):
    days = pd.date_range("2024-01-01", periods=N, name="day")
    beside = pd.DataFrame(
        {
            "when": days.where(np.arange(N) > 0),
            "took": pd.to_timedelta(np.arange(N), "min"),
            "whole": pd.array([None, *range(N - 1)], "Int64"),
            "text": pd.array([None, *TOWNS[1:]], "string"),
            "said": pd.array([None, *[True] * (N - 1)], "boolean"),
            "exact": np.r_[np.nan, 1234567.89 + np.arange(N - 1)],
            "huge": 2**53 + 1 + np.arange(N),
        },
        index=days,
    )
    found = told(plot.projection(igtm, pd.DataFrame(X, index=days), tooltip=beside))
    assert found["day"][1].startswith("2024-01-02")
    assert set(found.iloc[0, 1:6].drop("took")) == {""}
    assert found["when"][1].startswith("2024-01-02")
    assert found["whole"][1] == "0"
    assert found["text"][1] == TOWNS[1]
    assert found["said"][1] == "True"
    assert found["exact"][2] == "1234568.89"
    assert found["huge"][0] == str(2**53 + 1)


def test_gaps_in_a_dict_of_columns_are_told_as_such(igtm, X):
    found = told(plot.projection(igtm, X, tooltip={"n": pd.array([None, *range(N - 1)], "Int64")}))
    assert list(found["n"][:3]) == ["", "0", "1"]
    with pytest.raises(ValueError, match="tooltip has several columns 1"):
        plot.projection(igtm, X, tooltip={1: X[:, 0], "1": X[:, 1]})


def test_names_that_are_told_already_stay_apart(igtm, X):
    index = pd.Index(TOWNS, name="row")
    beside = pd.DataFrame({"x1": np.arange(N), "row": TOWNS[::-1]}, index)
    chart = plot.projection(igtm, pd.DataFrame(X, index=index), tooltip=beside)
    titles = [tip["title"] for tip in chart.to_dict()["encoding"]["tooltip"]]
    assert titles == ["row", "x1", "x2", "row (2)", "x1 (2)", "row of tooltip"]
    assert list(told(chart)["row of tooltip"]) == TOWNS[::-1]


def test_an_index_that_is_no_id_is_not_told(igtm, X):
    index = pd.Index(pd.array([None, *range(N - 1)], "Int64"), name="id")
    assert told(plot.projection(igtm, pd.DataFrame(X, index=index))).empty
    unnamed = pd.DataFrame(X, index=pd.Index(TOWNS, name=""))
    assert list(told(plot.projection(igtm, unnamed))["index"]) == TOWNS


def test_other_columns_of_a_file_are_no_matter(tmp_path, X):
    frame = pd.DataFrame(X).add_prefix("c")
    named = IGTM(k=4, m=2, niter=2, solver="em", scale="center").fit(frame)
    frame.assign(word="a").to_parquet(tmp_path / "x.parquet")
    assert len(drawn(plot.projection(named, str(tmp_path / "x.parquet")))) == N


def test_what_cannot_be_is_refused_before_the_pass(igtm, X, labels):
    lazy = da.from_array(X, chunks=(100, -1)).map_blocks(computing, dtype=float, meta=np.empty((0, 0)))
    for look, message in (
        ({"y": X[:, 0], "scale": "cubic"}, "scale='cubic'"),
        ({"y": X[:, 0], "colors": "pretty"}, "colors='pretty'"),
        ({"labels": labels, "colors": ["blurple"]}, "'blurple' is no colour"),
        ({"labels": labels, "scale": "log"}, "scale and domain are of values"),
        ({"domain": (0, 1)}, "scale and domain are of values"),
        ({"labels": labels, "domain": np.array([0, 1])}, "scale and domain are of values"),
        ({"colors": "cyclic"}, "colors is of values or labels"),
        ({"y": X[:, 0], "names_in_map": True}, "names_in_map=True is for labels"),
    ):
        with pytest.raises(ValueError, match=message):
            plot.projection(igtm, lazy, **look)


def test_others_have_no_name_in_the_map(igtm, X, labels):
    spec = plot.projection(igtm, X, labels=labels, colors={"low": "teal"}, names_in_map=True).to_dict()
    assert {record["label"] for record in spec["layer"][-1]["data"]["values"]} == {"low"}


def test_axes_have_no_numbers(igtm, X):
    axis = plot.projection(igtm, X).to_dict()["encoding"]["x"]["axis"]
    assert axis == {"labels": False, "ticks": False, "grid": False}


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
    assert subtitle(chart) == [f"{N - 2} rows at their posterior means", "2 without a value left out"]
    assert_array_equal(drawn(chart)["row"], np.delete(np.arange(N), [3, 7]))
    chart = plot.projection(igtm, X, labels=labels, max_points=0)
    assert "2 without a label left out" in subtitle(chart)
    assert drawn(chart)["rows"].sum() == N - 2


# Weights are frequencies

WEIGHT = np.arange(N) % 3
OFTEN = np.repeat(np.arange(N), WEIGHT)


@pytest.mark.parametrize("look", [None, "y", "labels"])
def test_bins_of_weighted_rows_are_those_of_repeated_ones(igtm, X, y, labels, look):
    column = {"y": y, "labels": labels}.get(look, y)
    given = {look: column} if look else {}
    repeated = {look: column[OFTEN]} if look else {}
    lazy = da.from_array(X, chunks=(150, -1))
    one = binned(igtm, lazy, sample_weight=da.from_array(WEIGHT, chunks=90), **given)
    pd.testing.assert_frame_equal(
        one, binned(igtm, X[OFTEN], **repeated), check_dtype=False, rtol=1e-5, atol=1e-9
    )


@pytest.mark.parametrize("look", [None, "y", "labels"])
def test_points_are_as_large_as_they_weigh_and_those_without_weight_are_left_out(igtm, X, y, labels, look):
    given = {look: {"y": y, "labels": labels}[look]} if look else {}
    chart = plot.projection(igtm, da.from_array(X, chunks=(64, -1)), sample_weight=WEIGHT / 4, **given)
    table = drawn(chart)
    assert_array_equal(table["row"], np.flatnonzero(WEIGHT))
    assert_allclose(table["weight"], WEIGHT[WEIGHT > 0] / 4)
    spec = chart.to_dict()
    encoding = (spec["layer"][0] if "layer" in spec else spec)["encoding"]
    assert encoding["size"]["field"] == "weight"
    assert encoding["size"]["scale"]["domain"] == [0, 0.5]
    assert "weight" in [told["field"] for told in encoding["tooltip"]]
    told = subtitle(chart)
    assert (told if look else told[0]) == "99.75 rows at their posterior means; size by weight"
    assert "size" not in plot.projection(igtm, X).to_dict()["encoding"]


def test_weights_of_rows_without_a_value_are_told(igtm, X, y):
    y = np.where(np.arange(N) < 5, np.nan, y)
    chart = plot.projection(igtm, X, y=y, sample_weight=WEIGHT)
    assert subtitle(chart)[-1] == f"{WEIGHT[:5].sum()} without a value left out"
    assert_array_equal(drawn(chart)["row"], np.flatnonzero((WEIGHT > 0) & (np.arange(N) >= 5)))


@pytest.mark.parametrize(
    ("weight", "message"), [(np.zeros(N), "no row has a weight"), (-np.ones(N), "negative or non-finite")]
)
def test_weights_that_show_nothing_are_refused(igtm, X, weight, message):
    with pytest.raises(ValueError, match=message):
        plot.projection(igtm, X, sample_weight=weight)


def test_a_label_that_weighs_nothing_is_not_drawn(igtm, X, labels):
    chart = plot.projection(igtm, X, labels=labels, sample_weight=(labels != "low") * 1.0, max_points=0)
    assert set(drawn(chart)["label"]) <= {"middle", "high"}


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
        ({"tooltip": pd.DataFrame(np.ones((N, 2)), columns=["a", "a"])}, "tooltip has several columns a"),
        ({"labels": np.ones(N, int), "colors": {1: "url(#x)"}}, "is no colour"),
        ({"tooltip": np.ones(N - 1)}, r"tooltip has shape \(399,\); give one value a row"),
        (
            {"tooltip": np.ones((N, 2))},
            r"tooltip has shape \(400, 2\); give one value a row, or",
        ),
        ({"labels": np.linspace(0, 1, N)}, "fractions"),
        ({"n_bins": 0}, "n_bins=0; give a whole number from 1 to 300"),
        ({"max_points": 10**6}, "max_points=1000000; give a whole number from 0 to 20000"),
    ],
)
def test_what_cannot_be_drawn_is_refused(igtm, X, look, message):
    with pytest.raises(ValueError, match=message):
        plot.projection(igtm, X, **look)


def test_a_table_of_one_column_is_a_column(igtm, X, y):
    one, other = (drawn(plot.projection(igtm, X, y=values, max_points=0)) for values in (y, y[:, None]))
    pd.testing.assert_frame_equal(one, other)
