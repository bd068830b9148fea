"""Masked arrays are refused at every entry, by name and with the remedy, before anything is computed."""

import dask.array as da
import numpy as np
import pytest

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
from dask_igtm.passes import map_rows, reduce

SMALL = {"k": 4, "m": 2, "niter": 2, "scale": "standard"}
RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 3)) * [3, 2, 1]
Y = X[:, 0] - X[:, 1]
LABELS = np.where(Y > 0, 1, 0)
HOLES = np.ma.MaskedArray(X, mask=X > 2)


@pytest.fixture(scope="module")
def fitted():
    return IGTM(**SMALL).fit(X)


@pytest.fixture(scope="module")
def classifier():
    return IGTMClassifier(**SMALL).fit(X, LABELS)


@pytest.fixture(scope="module")
def regressor():
    return IGTMRegressor(**SMALL).fit(X, Y)


@pytest.fixture
def nothing_computes(fitted, classifier, regressor, monkeypatch):
    """Let every pass of the package fail; maps are fitted before."""

    def computed(*args, **kwargs):
        raise AssertionError("a pass was begun")

    monkeypatch.setattr(reduce, "walk", computed)
    monkeypatch.setattr(map_rows, "compute", computed)
    monkeypatch.setattr(da.Array, "compute", computed)
    monkeypatch.setattr(da.Array, "persist", computed)


def broken(block):
    raise AssertionError("a block was computed")


def lazy(masked):
    """A dask array of masked chunks, none of which may be made."""
    chunks = ((40, 40, 40), *((n,) for n in masked.shape[1:]))
    whole = da.ma.masked_array(da.from_array(masked.data, chunks), da.from_array(masked.mask, chunks))
    return whole.map_blocks(broken, dtype=masked.dtype, meta=np.ma.MaskedArray(np.empty((0,) * masked.ndim)))


KINDS = {
    "masked": lambda masked: masked,
    "object": lambda masked: masked.astype(object),
    "nothing masked": lambda masked: np.ma.MaskedArray(masked.data),
    "dask": lazy,
}

ENTRIES_OF_X = {
    "fit": lambda igtm, bad: IGTM(**SMALL).fit(bad),
    "eIGTM.fit": lambda igtm, bad: eIGTM(**SMALL).fit(bad),
    "fit_transform": lambda igtm, bad: IGTM(**SMALL).fit_transform(bad),
    "first partial_fit": lambda igtm, bad: IGTM(**SMALL).partial_fit(bad),
    "partial_fit": lambda igtm, bad: igtm.partial_fit(bad),
    "runIGTM": lambda igtm, bad: runIGTM(bad, k=4, m=2, niter=2),
    "runIGTM, gaps": lambda igtm, bad: runIGTM(bad, k=4, m=2, niter=2, missing=False),
    "transform": lambda igtm, bad: igtm.transform(bad),
    "transform_blocks": lambda igtm, bad: next(igtm.transform_blocks(bad)),
    "describe": lambda igtm, bad: igtm.describe(bad),
    "score": lambda igtm, bad: igtm.score(bad),
    "score_samples": lambda igtm, bad: igtm.score_samples(bad),
    "applicability": lambda igtm, bad: igtm.applicability(bad),
    "applicability, reference": lambda igtm, bad: igtm.applicability(X, reference=bad),
    "impute": lambda igtm, bad: igtm.impute(bad),
    "estimate": lambda igtm, bad: IGTM(**SMALL).estimate(bad),
    "classifier": lambda igtm, bad: IGTMClassifier(**SMALL).fit(bad, LABELS),
    "regressor": lambda igtm, bad: IGTMRegressor(**SMALL).fit(bad, Y),
    "search": lambda igtm, bad: IGTMSearch(IGTM(**SMALL), {"k": [3, 4]}).fit(bad),
    "saturation": lambda igtm, bad: saturation(IGTM(**SMALL), bad),
    "quality": quality,
    "density": landscape.density,
    "property": lambda igtm, bad: landscape.property(igtm, bad, Y),
    "classes": lambda igtm, bad: landscape.classes(igtm, bad, LABELS),
    "coverage, reference": lambda igtm, bad: landscape.coverage(igtm, bad, X),
    "coverage, query": lambda igtm, bad: landscape.coverage(igtm, X, {"new": bad}),
    "compare": lambda igtm, bad: landscape.compare(igtm, {"one": X, "other": bad}),
    "projection": plot.projection,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("entry", ENTRIES_OF_X)
def test_no_entry_takes_a_masked_x(fitted, nothing_computes, entry, kind):
    before = dict(vars(fitted))
    with pytest.raises(TypeError, match=r"^X is a masked array.*X\.filled\(value\).*da\.ma\.filled\(X, "):
        ENTRIES_OF_X[entry](fitted, KINDS[kind](HOLES))
    assert vars(fitted) == before


@pytest.mark.parametrize("kind", KINDS)
def test_neither_files_nor_pages_are_begun(fitted, nothing_computes, tmp_path, kind):
    bad = KINDS[kind](HOLES)
    for write in (fitted.project_to_zarr, lambda x, path: report(fitted, x, path)):
        with pytest.raises(TypeError, match=r"^X is a masked array.*\.filled"):
            write(bad, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_no_prediction_for_masked_rows(classifier, regressor, nothing_computes, kind):
    for predict in (classifier.predict, classifier.predict_proba, regressor.predict):
        with pytest.raises(TypeError, match=r"^X is a masked array.*X\.filled"):
            predict(KINDS[kind](HOLES))


ENTRIES_OF_WEIGHTS = {
    "fit": lambda igtm, bad: IGTM(**SMALL).fit(X, sample_weight=bad),
    "partial_fit": lambda igtm, bad: igtm.partial_fit(X, sample_weight=bad),
    "score": lambda igtm, bad: igtm.score(X, sample_weight=bad),
    "classifier": lambda igtm, bad: IGTMClassifier(**SMALL).fit(X, LABELS, sample_weight=bad),
    "regressor": lambda igtm, bad: IGTMRegressor(**SMALL).fit(X, Y, sample_weight=bad),
    "search": lambda igtm, bad: IGTMSearch(IGTM(**SMALL), {"k": [3]}).fit(X, sample_weight=bad),
    "saturation": lambda igtm, bad: saturation(IGTM(**SMALL), X, bad),
    "density": lambda igtm, bad: landscape.density(igtm, X, bad),
    "property": lambda igtm, bad: landscape.property(igtm, X, Y, bad),
    "classes": lambda igtm, bad: landscape.classes(igtm, X, LABELS, sample_weight=bad),
    "coverage": lambda igtm, bad: landscape.coverage(igtm, X, X, sample_weight={"query": bad}),
    "compare": lambda igtm, bad: landscape.compare(igtm, {"a": X}, {"a": bad}),
    "markers": lambda igtm, bad: landscape.markers(igtm, X, sample_weight=bad),
    "quality": lambda igtm, bad: quality(igtm, X, bad),
    "applicability": lambda igtm, bad: igtm.applicability(X, 0.9, X, bad),
    "projection": lambda igtm, bad: plot.projection(igtm, X, sample_weight=bad),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("entry", ENTRIES_OF_WEIGHTS)
def test_no_entry_takes_masked_weights(fitted, nothing_computes, entry, kind):
    weights = np.ma.MaskedArray(np.ones(120), mask=Y > 2)
    with pytest.raises(TypeError, match=r"^sample_weight is a masked array.*sample_weight\.filled"):
        ENTRIES_OF_WEIGHTS[entry](fitted, KINDS[kind](weights))


ENTRIES_OF_Y = {
    "classifier": lambda igtm, bad: IGTMClassifier(**SMALL).fit(X, bad),
    "regressor": lambda igtm, bad: IGTMRegressor(**SMALL).fit(X, bad),
    "property": lambda igtm, bad: landscape.property(igtm, X, bad),
    "classes": lambda igtm, bad: landscape.classes(igtm, X, bad),
    "projection, values": lambda igtm, bad: plot.projection(igtm, X, y=bad),
    "projection, labels": lambda igtm, bad: plot.projection(igtm, X, labels=bad),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("entry", ENTRIES_OF_Y)
def test_no_entry_takes_masked_values_or_labels(fitted, nothing_computes, entry, kind):
    values = np.ma.MaskedArray(LABELS.astype(float), mask=Y > 2)
    with pytest.raises(TypeError, match=r"^\w+ is a masked array.*\.filled"):
        ENTRIES_OF_Y[entry](fitted, KINDS[kind](values))


@pytest.mark.parametrize("kind", KINDS)
def test_no_page_of_masked_values(fitted, tmp_path, kind):
    values = np.ma.MaskedArray(LABELS.astype(float), mask=Y > 2)
    for given in ({"y": KINDS[kind](values)}, {"labels": KINDS[kind](values)}):
        with pytest.raises(TypeError, match=r"^\w+ is a masked array.*\.filled"):
            report(fitted, X, tmp_path / "page.html", **given)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_no_score_against_masked_values(classifier, regressor, nothing_computes, kind):
    values = np.ma.MaskedArray(LABELS.astype(float), mask=Y > 2)
    for predictor in (classifier, regressor):
        with pytest.raises(TypeError, match=r"^y is a masked array.*y\.filled"):
            predictor.score(X, KINDS[kind](values))


@pytest.mark.parametrize("kind", KINDS)
def test_no_points_of_masked_responsibilities(fitted, nothing_computes, kind):
    R = np.ma.MaskedArray(np.full((120, 16), 1 / 16), mask=np.eye(120, 16, dtype=bool))
    with pytest.raises(TypeError, match=r"^R is a masked array.*R\.filled"):
        fitted.inverse_transform(KINDS[kind](R))


def test_what_is_filled_is_taken(fitted):
    marginal = IGTM(**SMALL, missing="marginalize").fit(HOLES.filled(np.nan))
    gaps = np.where(HOLES.mask, np.nan, X)
    np.testing.assert_array_equal(
        marginal.transform(da.ma.filled(da.from_array(HOLES, (40, 3)), np.nan)).compute(),
        IGTM(**SMALL, missing="marginalize").fit(gaps).transform(da.from_array(gaps, (40, 3))).compute(),
    )
