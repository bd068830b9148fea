"""How a fit went, how candidates compare, and whether more rows would pay, as pictures."""

import dataclasses
import re
import types
import xml.dom.minidom

import numpy as np
import pytest
import vl_convert
from helpers.charts import drawn, subtitle
from helpers.data import correlated
from helpers.hostile import faults_of, texts
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KernelDensity

from dask_igtm import IGTM, IGTMClassifier, IGTMRegressor, IGTMSearch, plot, saturation
from dask_igtm.estimators.saturation import Saturation

K = 6
EM = {"k": K, "m": 3, "solver": "em", "scale": "center"}


def encoding(chart, layer=0):
    spec = chart.to_dict()
    return (spec["layer"][layer] if "layer" in spec else spec)["encoding"]


def hollow_of(chart):
    """Return which filters let through the points that are drawn hollow, and those that are not."""
    points = [layer for layer in chart.to_dict()["layer"] if layer["mark"]["type"] == "point"]
    marks = {layer["transform"][0]["filter"]: layer["mark"] for layer in points}
    return {name: mark.get("fill") == "white" for name, mark in marks.items() if name != "datum.best"}


# History


def test_history_shows_the_way_to_the_end_on_a_log_axis(X):
    igtm = IGTM(**EM).fit(X)
    chart = plot.history(igtm)
    table = drawn(chart)
    assert_array_equal(table["iteration"], np.arange(igtm.n_iter_))
    assert_array_equal(table["value"], igtm.history_)
    assert_allclose(table["gap"], igtm.log_likelihood_ - igtm.history_)
    assert encoding(chart)["y"]["scale"]["type"] == "log"
    assert encoding(chart)["color"]["legend"] is None
    assert subtitle(chart) == f"Converged after {igtm.n_iter_} iterations at {igtm.log_likelihood_:.6g} a row"


def fitted(values, shares=None, end=-1.0, **told):
    """Return a map whose fit had these likelihoods."""
    igtm = IGTM(k=3, m=2, niter=2).fit(correlated(40, 3))
    igtm.history_, igtm.log_likelihood_ = np.array(values), end
    igtm.history_shares_ = np.ones(len(values)) if shares is None else np.array(shares)
    igtm.n_iter_, igtm.stopped_by_ = int((igtm.history_shares_ == 1).sum()), "tolerance"
    for name, value in told.items():
        setattr(igtm, name, value)
    return igtm


def test_history_has_a_line_for_each_share_of_the_rows():
    values = [-9.0, -5.0, -7.0, -4.0, -6.0, -3.5, -3.0, -2.0, -1.5]
    shares = [1 / 64, 1 / 64, 1 / 64, 1 / 64, 1 / 8, 1 / 8, 1, 1, 1]
    chart = plot.history(fitted(values, shares))
    table = drawn(chart)
    assert_array_equal(table["iteration"], [0, 1, 2, 4, 6, 7, 8])
    assert_array_equal(table["gap"], [5, 1, 3, 2.5, 2, 1, 0.5])
    names = ["1.56 % of the rows", "12.5 % of the rows", "all rows"]
    assert list(table["rows"]) == [names[i] for i in (0, 0, 0, 1, 2, 2, 2)]
    color = encoding(chart)["color"]
    assert color["scale"]["domain"] == names
    brightness = [sum(bytes.fromhex(found[1:])) for found in color["scale"]["range"]]
    assert brightness == sorted(brightness, reverse=True)
    assert subtitle(chart) == ["Converged after 3 iterations at -1 a row", "after 6 on samples of the rows"]


def test_history_of_a_sampled_fit_tells_of_all_its_stages():
    igtm = IGTM(k=4, m=2, solver="sampled", scale="standard").fit(
        np.random.default_rng(0).normal(size=(4_000, 3))
    )
    assert igtm.history_shares_.min() < 1
    table = drawn(plot.history(igtm))
    assert table["rows"].nunique() == len(np.unique(igtm.history_shares_))
    assert table["rows"].iloc[-1] == "all rows"


def test_history_that_falls_again_keeps_its_points():
    table = drawn(plot.history(fitted([-5.0, -0.5, -2.0], end=-1.0)))
    assert_array_equal(table["iteration"], [0, 2, 3])
    assert_array_equal(table["gap"], [4.5, 1.5, 0.5])


def test_history_takes_rounding_for_no_gap():
    values = -100.0 - np.array([1.0, 1e-3, 1e-13, 0.0, 2e-13])
    table = drawn(plot.history(fitted(values, end=-100.0)))
    assert_array_equal(table["iteration"], [0, 1])


@pytest.mark.parametrize("values", [[-2.0], [-1.0, -1.0]])
def test_history_without_an_approach_shows_values(values):
    chart = plot.history(fitted(values))
    assert_array_equal(drawn(chart)["value"], [*values, -1.0])
    assert "type" not in encoding(chart)["y"]["scale"]


def test_history_of_a_fit_that_was_cut_shows_what_is_known():
    cut = fitted([-5.0, -4.0, -2.0], end=np.nan, stopped_by_="interrupt")
    chart = plot.history(cut)
    assert_array_equal(drawn(chart)["gap"], [3, 2])
    assert subtitle(chart) == "Not converged after 3 iterations"
    with pytest.raises(ValueError, match="cut before it knew a likelihood"):
        plot.history(fitted([], end=np.nan))


def test_history_of_a_stream_has_its_blocks(X):
    igtm = IGTM(k=K, m=3).partial_fit(X[:200]).partial_fit(X[200:])
    chart = plot.history(igtm)
    assert_allclose(drawn(chart)["value"], igtm.history_)
    assert_array_equal(drawn(chart)["block"], [0, 1])
    assert subtitle(chart) == "2 blocks"
    assert subtitle(plot.history(IGTM(k=K, m=3).partial_fit(X))) == "1 block"
    assert "type" not in encoding(chart)["y"]["scale"]


def test_history_has_at_most_some_ticks():
    values = encoding(plot.history(fitted([-1e6, -1e3, -1 - 1e-9])))["y"]["axis"]["values"]
    assert len(values) <= 9
    assert_allclose(np.log10(values), np.round(np.log10(values)))


# Searches


def searched(params, mean, std=None, n_folds=3, converged=None, **told):
    """Return what a search of these candidates tells of itself."""
    mean = np.array(mean, dtype=float)
    results = {"params": params, "mean_test_score": mean}
    results["std_test_score"] = np.full(len(mean), 0.5) if std is None else np.array(std)
    for fold in range(n_folds):
        results[f"split{fold}_test_score"] = mean
        if converged is not None:
            results[f"split{fold}_converged"] = np.array(converged)
    return types.SimpleNamespace(cv_results_=results, **{"scoring": None, "estimator": IGTM(), **told})


def test_one_number_is_the_axis(X):
    search = IGTMSearch(IGTM(**EM, niter=3), {"m": [4, 2, 3]}, refit=False).fit(X)
    chart, found = plot.search(search), search.cv_results_
    table = drawn(chart).sort_values("at")
    order = [1, 2, 0]
    assert_array_equal(table["at"], [2, 3, 4])
    assert_array_equal(table["score"], found["mean_test_score"][order])
    assert_allclose(table["high"] - table["low"], 2 * found["std_test_score"][order])
    assert_array_equal(table["best"], found["rank_test_score"][order] == 1)
    assert not table["settled"].any()
    axis = encoding(chart)["x"]
    assert (axis["title"], axis["axis"]["values"], axis["scale"]["type"]) == ("m", [2, 3, 4], "linear")
    assert encoding(chart)["y"]["title"] == "log-likelihood a row"
    best, hollow = subtitle(chart)
    m, score = search.best_params_["m"], search.best_score_
    told = re.fullmatch(r"chosen: m=(\d) at (-[\d.]+) ± ([\d.]+) over 3 folds", best)
    assert (int(told[1]), float(told[2])) == (m, pytest.approx(score, abs=float(told[3]) / 10))
    assert hollow == "hollow: not converged in every fold"


def test_an_axis_over_decades_is_logarithmic():
    params = [{"regul": value} for value in (0.01, 0.1, 1.0)]
    assert encoding(plot.search(searched(params, [1, 2, 3])))["x"]["scale"]["type"] == "log"
    params = [{"regul": value} for value in (0.0, 0.1, 10.0)]
    assert encoding(plot.search(searched(params, [1, 2, 3])))["x"]["scale"]["type"] == "linear"


def test_a_second_parameter_makes_lines_that_stand_beside_each_other():
    params = [{"scale": scale, "k": k} for scale in ("center", "standard") for k in (4, 8, 16)]
    chart = plot.search(searched(params, [1, 2, 3, 4, 6, 5]))
    table = drawn(chart)
    assert encoding(chart)["x"]["title"] == "k"
    assert encoding(chart)["color"]["title"] == "scale"
    assert set(table["line"]) == {"center", "standard"}
    lines = {name: np.sort(of["at"]) for name, of in table.groupby("line")}
    assert_allclose(lines["center"] + lines["standard"], [8, 16, 32])
    assert (np.abs(lines["center"] - lines["standard"]) > 0).all()
    assert list(table.loc[table["best"], "candidate"]) == ["scale=standard, k=8"]


def test_lines_of_numbers_are_in_their_order():
    params = [{"m": m, "k": k} for m in (10, 2) for k in (4, 8, 16)]
    assert encoding(plot.search(searched(params, np.arange(6))))["color"]["scale"]["domain"] == ["2", "10"]


@pytest.mark.parametrize(
    "params",
    [
        [{"scale": "center"}, {"scale": "standard"}],
        [{"n_components": None}, {"n_components": 3}],
        [{"k": 4, "m": 2, "s": 0.3}, {"k": 4, "m": 3, "s": 0.4}, {"k": 5, "m": 2, "s": 0.3}],
        [{"k": 4}, {"m": 3}],
        [{"k": k, "name": str(k)} for k in range(11)],
        [{"bool": True}, {"bool": False}],
    ],
)
def test_other_candidates_have_rows_by_their_rank(params):
    mean = np.random.default_rng(0).permutation(len(params))
    chart = plot.search(searched(params, mean))
    table = drawn(chart)
    assert_array_equal(table["score"], np.sort(mean)[::-1])
    assert encoding(chart)["y"]["sort"] == table["candidate"].tolist()
    told = ", ".join(f"{name}={value}" for name, value in params[mean.argmax()].items())
    assert table["candidate"][0] == told


def test_what_all_candidates_share_is_not_told():
    chart = plot.search(searched([{"k": 4, "scale": "center"}, {"k": 4, "scale": "standard"}], [1, 0]))
    assert list(drawn(chart)["candidate"]) == ["scale=center", "scale=standard"]
    assert list(drawn(plot.search(searched([{"k": 4}], [1.0])))["candidate"]) == ["the only candidate"]


def test_candidates_without_a_score_are_told_of():
    params = [{"k": k} for k in range(2, 8)]
    chart = plot.search(searched(params, [1, np.nan, 3, np.nan, np.nan, np.nan], n_folds=1))
    assert_array_equal(drawn(chart)["at"], [4, 2])
    best, without = subtitle(chart)
    assert best == "chosen: k=4 at 3.00 ± 0.50 over 1 fold"
    assert without == "without a score: k=3, k=5, k=6 and 1 more"


def test_of_very_many_candidates_the_best_are_drawn():
    params = [{"a": number % 2, "b": number, "c": -number} for number in range(1_234)]
    chart = plot.search(searched(params, np.arange(1_234)))
    assert_array_equal(drawn(chart)["score"], np.arange(1_233, 1_193, -1))
    assert subtitle(chart)[1] == "the best 40 of 1,234 candidates"


def test_points_are_hollow_where_a_fold_did_not_converge():
    params = [{"k": 4}, {"k": 8}]
    search = searched(params, [1, 2], converged=[True, True])
    search.cv_results_["split1_converged"] = np.array([False, True])
    chart = plot.search(search)
    assert drawn(chart).set_index("at")["settled"].to_dict() == {4: False, 8: True}
    assert hollow_of(chart) == {"datum.settled": False, "(!datum.settled)": True}
    assert isinstance(subtitle(plot.search(searched(params, [1, 2], converged=[True, True]))), str)


def test_the_candidate_that_the_search_chose_is_marked(X):
    def second(results):
        return int(np.flatnonzero(results["rank_test_score"] == 2)[0])

    search = GridSearchCV(IGTM(**EM, niter=2), {"m": [3, 2]}, cv=2, refit=second).fit(X)
    chart, m = plot.search(search), search.best_params_["m"]
    assert drawn(chart).set_index("at")["best"].to_dict() == {m: True, 5 - m: False}
    assert subtitle(chart).startswith(f"chosen: m={m} at ")


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ({}, "log-likelihood a row"),
        ({"estimator": IGTMClassifier()}, "share of rows told right"),
        ({"estimator": IGTMRegressor()}, "R^2"),
        ({"estimator": KernelDensity()}, "score"),
        ({"scoring": "neg_mean_squared_error"}, "neg mean squared error"),
        ({"scoring": len}, "score"),
    ],
)
def test_the_axis_says_what_the_score_is(told, name):
    chart = plot.search(searched([{"k": 4}, {"k": 8}], [1, 2], **told))
    assert encoding(chart)["y"]["title"] == name


def test_what_is_no_search_is_refused(X, igtm):
    with pytest.raises(NotFittedError):
        plot.search(IGTMSearch(IGTM(), {"k": [2, 3]}))
    with pytest.raises(TypeError, match="IGTM is no search; give a fitted IGTMSearch"):
        plot.search(igtm)
    with pytest.raises(ValueError, match="No candidate of the search has a score"):
        plot.search(searched([{"k": 4}], [np.nan]))
    several = searched([{"k": 4}], [1])
    several.cv_results_["mean_test_ink"] = several.cv_results_.pop("mean_test_score")
    with pytest.raises(ValueError, match="search with one scoring"):
        plot.search(several)


@pytest.mark.parametrize("n_varied", [2, 3])
def test_no_text_of_candidates_does_anything(n_varied):
    rng = np.random.default_rng(4)
    names, values = texts(rng, n_varied), texts(rng, 6)
    params = [
        {names[0]: number, **dict.fromkeys(names[1:], value)} for number, value in enumerate(values, start=1)
    ]
    search = searched(params, [np.nan, *range(5)])
    spec = plot.search(search, name=texts(rng, 3)[2], title=texts(rng, 3)[1]).to_dict()
    assert faults_of(spec) == []
    xml.dom.minidom.parseString(vl_convert.vegalite_to_svg(spec))


# Saturation


def saturated(held_out, tol=0.01, converged=True):
    n = len(held_out)
    shares = 4.0 ** np.arange(1 - n, 1)
    return Saturation(
        share=shares,
        n_samples=1024 * shares,
        training=np.array(held_out) + 1,
        held_out=np.array(held_out),
        n_iter=np.arange(n),
        converged=np.full(n, converged),
        tol=tol,
        n_passes=9,
    )


def band_and_line(chart):
    layers = chart.to_dict()["layer"]
    return [layer["data"]["values"] for layer in layers[:2]]


def likelihoods(chart):
    return chart.to_dict()["layer"][2]["data"]["values"]


def test_saturation_shows_both_likelihoods_over_rows():
    result = saturated([-3.0, -2.0, -1.005, -1.0], tol=0.01)
    chart = plot.saturation(result)
    table = {of: [one for one in likelihoods(chart) if one["of"] == of] for of in ("rows of the fit",)}
    assert [one["value"] for one in table["rows of the fit"]] == list(result.training)
    held_out = [one for one in likelihoods(chart) if one["of"] == "rows held out"]
    assert [(one["rows"], one["value"]) for one in held_out] == list(
        zip(result.n_samples, result.held_out, strict=True)
    )
    assert [one["share"] for one in held_out] == ["1.56 %", "6.25 %", "25 %", "100 %"]
    (band,), (line,) = band_and_line(chart)
    assert (band["low"], band["high"]) == (-1.01, -1.0)
    assert line["rows"] == 256
    assert " ".join(subtitle_of(chart)) == result.verdict
    assert encoding(chart, 2)["x"]["scale"]["type"] == "log"


def subtitle_of(chart):
    return chart.to_dict()["layer"][2]["title"]["subtitle"]


def test_saturation_marks_no_share_where_all_rows_are_needed():
    chart = plot.saturation(saturated([-3.0, -2.0, -1.0], converged=False))
    assert band_and_line(chart)[1] == []
    assert subtitle_of(chart)[-1] == "hollow: not converged"
    assert not any(one["converged"] for one in likelihoods(chart))
    assert hollow_of(chart) == {"datum.converged": False, "(!datum.converged)": True}


def test_saturation_leaves_out_what_is_not_known():
    chart = plot.saturation(saturated([np.nan, -1.0, -1.0]))
    assert len(likelihoods(chart)) == 4
    vl_convert.vegalite_to_svg(chart.to_dict())


def test_saturation_of_a_fit_is_drawn(X, tmp_path):
    result = saturation(IGTM(**EM, niter=3), X, shares=(1 / 2, 1))
    for number, one in enumerate([result, dataclasses.replace(result, tol=1e3)]):
        plot.saturation(one).save(tmp_path / f"{number}.png")
    with pytest.raises(TypeError, match="IGTM is no Saturation"):
        plot.saturation(IGTM())
