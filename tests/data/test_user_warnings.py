"""A warning stands at the line of the user's code that called, whatever lies between it and the package."""

import warnings

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pytest
import zarr
from sklearn.exceptions import DataConversionWarning
from sklearn.pipeline import make_pipeline

from dask_igtm import (
    IGTM,
    IGTMClassifier,
    IGTMRegressor,
    IGTMSearch,
    eIGTM,
    landscape,
    plot,
    quality,
    report,
    runIGTM,
    saturation,
)
from dask_igtm.data import row_blocks

SMALL = {"k": 4, "m": 2, "niter": 3, "scale": "standard"}
HEAVY = {"k": 4, "m": 2, "niter": 40, "regul": 1e6}
RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 4)) * [4, 2, 1, 1]
Y = X[:, 0] - X[:, 1]
LABELS = np.where(Y > 0, 1, 0)
GRID = {"k": [3, 4]}
NOISE = RNG.normal(size=(300, 3))


def caught_at(call, *arguments, **parameters):
    """Return what a function of one line warns of, and hold that all of it stands at that line."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call(*arguments, **parameters)
    places = {(warning.filename, warning.lineno) for warning in caught}
    assert places == {(__file__, call.__code__.co_firstlineno)}
    return [str(warning.message) for warning in caught]


@pytest.fixture(scope="module")
def igtm():
    return IGTM(**SMALL).fit(X)


@pytest.fixture(scope="module")
def classifier():
    return IGTMClassifier(**SMALL).fit(X, LABELS)


@pytest.fixture(scope="module")
def regressor():
    return IGTMRegressor(**SMALL).fit(X, Y)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def in_column_chunks():
    return da.from_array(X, chunks=(100, 2))


# Each takes a fitted map and lazy rows.
ENTRIES = {
    "fit": lambda igtm, lazy: IGTM(**SMALL).fit(lazy),
    "eIGTM.fit": lambda igtm, lazy: eIGTM(**SMALL).fit(lazy),
    "fit_transform": lambda igtm, lazy: IGTM(**SMALL).fit_transform(lazy),
    "eIGTM.fit_transform": lambda igtm, lazy: eIGTM(**SMALL).fit_transform(lazy),
    "partial_fit": lambda igtm, lazy: IGTM(**SMALL).partial_fit(lazy),
    "partial_fit again": lambda igtm, lazy: IGTM(**SMALL).fit(X).partial_fit(lazy),
    "init": lambda igtm, lazy: IGTM(**SMALL).fit(lazy, init=igtm),
    "checkpoint": lambda igtm, lazy: IGTM(**SMALL).fit(lazy, checkpoint="fit.npz"),
    "estimate": lambda igtm, lazy: igtm.estimate(lazy),
    "transform": lambda igtm, lazy: igtm.transform(lazy),
    "describe": lambda igtm, lazy: igtm.describe(lazy),
    "score": lambda igtm, lazy: igtm.score(lazy),
    "score_samples": lambda igtm, lazy: igtm.score_samples(lazy),
    "applicability": lambda igtm, lazy: igtm.applicability(lazy),
    "reference": lambda igtm, lazy: igtm.applicability(X, reference=lazy),
    "impute": lambda igtm, lazy: igtm.impute(lazy),
    "inverse_transform": lambda igtm, lazy: igtm.inverse_transform(da.ones((9, 16), chunks=(9, 4))),
    "transform_blocks": lambda igtm, lazy: list(igtm.transform_blocks(lazy)),
    "transform_blocks of a size": lambda igtm, lazy: list(igtm.transform_blocks(lazy, 30)),
    "project_to_zarr": lambda igtm, lazy: igtm.project_to_zarr(lazy, "map.zarr"),
    "runIGTM": lambda igtm, lazy: runIGTM(lazy, k=4, m=2, niter=2),
    "classifier": lambda igtm, lazy: IGTMClassifier(**SMALL).fit(lazy, LABELS),
    "regressor": lambda igtm, lazy: IGTMRegressor(**SMALL).fit(lazy, Y),
    "search": lambda igtm, lazy: IGTMSearch(IGTM(**SMALL), GRID).fit(lazy),
    "search and transform": lambda igtm, lazy: IGTMSearch(IGTM(**SMALL), GRID).fit_transform(lazy),
    "saturation": lambda igtm, lazy: saturation(IGTM(**SMALL), lazy),
    "quality": lambda igtm, lazy: quality(igtm, lazy, n_sample=50),
    "density": lambda igtm, lazy: landscape.density(igtm, lazy, None),
    "property": lambda igtm, lazy: landscape.property(igtm, lazy, Y),
    "classes": lambda igtm, lazy: landscape.classes(igtm, lazy, LABELS),
    "coverage": lambda igtm, lazy: landscape.coverage(igtm, lazy, {"other": lazy}),
    "compare": lambda igtm, lazy: landscape.compare(igtm, {"one": lazy, "other": X}),
    "projection": lambda igtm, lazy: plot.projection(igtm, lazy, n_bins=50),
    "report": lambda igtm, lazy: report(igtm, lazy, "page.html"),
    "report of values": lambda igtm, lazy: report(igtm, lazy, "page.html", y=Y, labels=LABELS),
    "pipeline": lambda igtm, lazy: make_pipeline(IGTM(**SMALL)).fit(lazy),
    "pipeline, fit_transform": lambda igtm, lazy: make_pipeline(IGTM(**SMALL)).fit_transform(lazy),
    "pipeline in a pipeline": lambda igtm, lazy: make_pipeline(make_pipeline(IGTM(**SMALL))).fit(lazy),
    "set_output": lambda igtm, lazy: IGTM(**SMALL).set_output(transform="pandas").fit_transform(lazy),
}


@pytest.mark.parametrize("entry", ENTRIES)
def test_chunks_along_columns(igtm, folder, entry):
    lazy = in_column_chunks()
    messages = caught_at(ENTRIES[entry], igtm, lazy)
    assert all("chunks along columns" in message for message in messages)


@pytest.mark.parametrize("method", ["predict", "predict_proba"])
def test_chunks_along_columns_in_predictions(classifier, method):
    lazy = in_column_chunks()
    assert caught_at(lambda: getattr(classifier, method)(lazy))


def test_chunks_along_columns_in_scores(classifier, regressor):
    lazy = in_column_chunks()
    assert caught_at(lambda: regressor.predict(lazy))
    assert caught_at(lambda: regressor.score(lazy, Y))
    assert caught_at(lambda: classifier.score(lazy, LABELS))


@pytest.mark.parametrize("entry", sorted(ENTRIES.keys() - {"inverse_transform"}))
@pytest.mark.parametrize(
    ("name", "size", "message"), [("TINY_COUNT", 3, "scheduler time"), ("HUGE_BYTES", 99, "GiB")]
)
def test_tiny_and_huge_chunks(igtm, folder, monkeypatch, entry, name, size, message):
    monkeypatch.setattr(row_blocks, name, size)
    found = caught_at(ENTRIES[entry], igtm, da.from_array(X, chunks=(50, 4)))
    assert all(message in one for one in found)


CUTTING = {
    "fit": lambda path: IGTM(**SMALL, n_blocks=20).fit(path),
    "fit_transform": lambda path: IGTM(**SMALL, n_blocks=20).fit_transform(path),
    "runIGTM": lambda path: runIGTM(path, k=4, m=2, niter=2, n_blocks=20),
    "search": lambda path: IGTMSearch(IGTM(**SMALL, n_blocks=20), GRID).fit(path),
    "saturation": lambda path: saturation(IGTM(**SMALL, n_blocks=20), path),
    "estimate": lambda path: IGTM(**SMALL, n_blocks=20).estimate(path),
    "classifier": lambda path: IGTMClassifier(**SMALL, n_blocks=20).fit(path, LABELS),
    "pipeline": lambda path: make_pipeline(IGTM(**SMALL, n_blocks=20)).fit(path),
}


@pytest.mark.parametrize("entry", CUTTING)
def test_blocks_that_cut_through_stored_chunks(folder, monkeypatch, entry):
    monkeypatch.setattr(row_blocks, "READ_BYTES", 1000)
    zarr.create_array("x.zarr", data=X, chunks=(200, 4))
    messages = caught_at(CUTTING[entry], "x.zarr")
    assert any("cut through stored chunks" in message for message in messages)


FITS = {
    "fit": lambda far, **given: IGTM(**given).fit(far),
    "eIGTM.fit": lambda far, **given: eIGTM(**given).fit(far),
    "fit_transform": lambda far, **given: IGTM(**given).fit_transform(far),
    "pandas": lambda far, **given: IGTM(**given).set_output(transform="pandas").fit_transform(far),
    "classifier": lambda far, **given: IGTMClassifier(**given).fit(far, LABELS),
    "regressor": lambda far, **given: IGTMRegressor(**given).fit(far, Y),
    "pipeline": lambda far, **given: make_pipeline(IGTM(**given)).fit(far),
    "pipeline, fit_transform": lambda far, **given: make_pipeline(IGTM(**given)).fit_transform(far),
    "search": lambda far, **given: IGTMSearch(IGTM(**given), {"k": [3]}).fit(far),
    "saturation": lambda far, **given: saturation(IGTM(**given), far, shares=(0.5, 1)),
}
BY_BLOCK = {"partial_fit": lambda far, **given: IGTM(**given).partial_fit(far)}


@pytest.mark.parametrize("lazily", [False, True])
@pytest.mark.parametrize("entry", FITS | BY_BLOCK)
def test_a_large_offset(entry, lazily):
    far = X + 1000
    messages = caught_at(
        (FITS | BY_BLOCK)[entry],
        da.from_array(far, chunks=(50, 4)) if lazily else far,
        k=4,
        m=2,
        niter=2,
        scale=None,
    )
    assert any("column means of X are large" in message for message in messages)


@pytest.mark.parametrize("lazily", [False, True])
@pytest.mark.parametrize("entry", FITS | BY_BLOCK)
def test_a_collapse_before_the_fit(entry, lazily):
    rows = da.from_array(X, chunks=(50, 4)) if lazily else X
    messages = caught_at((FITS | BY_BLOCK)[entry], rows, **HEAVY)
    assert any("may collapse" in message for message in messages)


@pytest.mark.parametrize("entry", FITS)
def test_a_collapse_after_the_fit(entry):
    messages = caught_at(FITS[entry], X, **HEAVY)
    assert any("has collapsed" in message for message in messages)


@pytest.mark.parametrize("entry", sorted(FITS.keys() - {"classifier", "regressor"}))
def test_evidence_that_is_held(entry):
    messages = caught_at(FITS[entry], NOISE, k=6, m=3, regul="auto", scale="center")
    assert any("held at regul_" in message for message in messages)


def test_a_collapse_in_run_igtm():
    assert caught_at(lambda: runIGTM(X, k=4, m=2, regul=1e6))


def test_y_as_a_column_vector():
    column = LABELS[:, None]
    with pytest.warns(DataConversionWarning):
        IGTMClassifier(**SMALL).fit(X, column)
    assert len(caught_at(lambda: IGTMClassifier(**SMALL).fit(X, column))) == 1
    assert len(caught_at(lambda: make_pipeline(IGTMClassifier(**SMALL)).fit(X, column))) == 1
    assert len(caught_at(lambda: IGTMClassifier(**SMALL).fit(X, pd.DataFrame(column)))) == 1


def test_a_call_over_several_lines_and_below_a_helper():
    lazy = in_column_chunks()

    def helper():
        return IGTM(
            **SMALL,
        ).fit(
            lazy,
        )

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        helper()
    first = helper.__code__.co_firstlineno
    assert {warning.filename for warning in caught} == {__file__}
    assert all(first < warning.lineno <= first + 5 for warning in caught)


def test_a_scoring_function_of_the_user_is_the_innermost_line():
    lazy = in_column_chunks()

    def scoring(igtm, held_out):
        return igtm.score(lazy)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        IGTMSearch(IGTM(**SMALL), {"k": [3]}, scoring=scoring, refit=False).fit(X)
    lines = {warning.lineno for warning in caught}
    assert lines == {scoring.__code__.co_firstlineno + 1}


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
def test_under_any_scheduler(scheduler):
    lazy = in_column_chunks()
    with dask.config.set(scheduler=scheduler):
        assert caught_at(lambda: IGTM(**SMALL).fit(lazy))


def test_a_filter_by_the_users_module_works():
    """As Python promises of it: what is raised for a module of the user alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", module=__name__)
        with pytest.raises(UserWarning, match="may collapse"):
            IGTM(**HEAVY).fit(X)
