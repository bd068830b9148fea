"""Data of every degenerate kind: a sound result, or a clear refusal, and not a refusal of everything."""

import warnings
from collections import Counter

import dask.array as da
import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dask_igtm import IGTM, landscape, quality

CASES = 500


@st.composite
def generators(draw):
    return np.random.default_rng(draw(st.integers(0, 2**32 - 1)))


@st.composite
def gaussian_rows(draw):
    rng = draw(generators())
    return rng.normal(size=(draw(st.integers(4, 60)), draw(st.integers(1, 6))))


@st.composite
def one_or_two_rows(draw):
    return draw(gaussian_rows())[: draw(st.integers(1, 2))]


@st.composite
def rows_of_few_values(draw):
    rng = draw(generators())
    return rng.integers(0, draw(st.integers(1, 3)), (draw(st.integers(4, 40)), draw(st.integers(1, 5)))) * 1.0


@st.composite
def rows_with_constant_columns(draw):
    X = draw(gaussian_rows())
    X[:, : draw(st.integers(0, X.shape[1]))] = draw(st.sampled_from([0.0, 1.0, -1e6, 1e-300, 0.1]))
    return X


@st.composite
def duplicated_rows(draw):
    return np.repeat(draw(gaussian_rows()), draw(st.integers(2, 20)), axis=0)


@st.composite
def rows_of_rank_1(draw):
    X = draw(gaussian_rows())
    return np.outer(X[:, 0], np.arange(1.0, X.shape[1] + 1)) + draw(st.sampled_from([0.0, 1e3]))


@st.composite
def extreme_rows(draw):
    X = draw(gaussian_rows())
    units = st.sampled_from([1e-300, 1e-160, 1e-100, 1e-8, 1.0, 1e8, 1e100, 1e150, 1e300])
    return X * np.array([draw(units) for _ in range(X.shape[1])])


@st.composite
def far_clusters(draw):
    X = draw(gaussian_rows())
    far = draw(st.sampled_from([1e2, 1e6, 1e12]))
    return X + far * (np.arange(len(X)) % draw(st.integers(1, 4)))[:, None]


@st.composite
def a_dense_and_a_sparse_population(draw):
    X = draw(gaussian_rows())
    X[: len(X) // 10 + 1] *= draw(st.sampled_from([1e3, 1e6]))
    X[len(X) // 10 + 1 :] *= 1e-6
    return X


tables = st.one_of(
    gaussian_rows(),
    one_or_two_rows(),
    rows_of_few_values(),
    rows_with_constant_columns(),
    duplicated_rows(),
    rows_of_rank_1(),
    extreme_rows(),
    far_clusters(),
    a_dense_and_a_sparse_population(),
)


@st.composite
def gaps(draw, X):
    X = X.copy()
    X[draw(generators()).random(X.shape) < draw(st.sampled_from([0.0, 0.1, 0.5, 0.95]))] = np.nan
    return X


parameters = st.fixed_dictionaries(
    {
        "k": st.sampled_from([0, 1, 2, 5]),
        "m": st.sampled_from([0, 1, 2, 4]),
        "s": st.sampled_from([0.1, 0.3, 2.0]),
        "regul": st.sampled_from([0.0, 1e-6, 0.1, 10.0]),
        "niter": st.sampled_from([0, 1, 4, 12]),
        "scale": st.sampled_from([None, "center", "standard"]),
        "solver": st.sampled_from(["em", "accelerated"]),
        "missing": st.sampled_from(["error", "mean", "median", "most_frequent", "constant", "marginalize"]),
        "n_components": st.sampled_from([None, None, None, 1, 0.9, -1]),
    }
)


def assert_sound(igtm, X):
    for name in ("centers_", "weights_", "noise_variance_", "scale_", "history_", "log_likelihood_"):
        assert np.isfinite(getattr(igtm, name)).all(), name
    assert igtm.beta_inv_ > 0
    result = igtm.set_params(model="complete").transform(X)
    for name in ("matMeans", "matModes", "matR", "matP"):
        assert np.isfinite(getattr(result, name)).all(), name
    np.testing.assert_allclose(result.matR.sum(axis=1), 1, rtol=1e-6)
    assert np.isfinite(igtm.score_samples(X)).all()
    if igtm.converged_ and len(igtm.nodes_) > 1 and not np.isnan(X).any():  # never on a collapsed map
        assert igtm.noise_variance_.sum() < 0.995 * X.var(axis=0).sum()


def test_every_kind_of_table_is_fitted_or_refused():
    outcomes = Counter()

    @settings(max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def check(data):
        X, chosen = data.draw(tables), data.draw(parameters)
        if chosen["missing"] != "error":
            X = data.draw(gaps(X))
        weight = data.draw(st.sampled_from([None, None, "some"]))
        if weight:
            weight = np.arange(len(X)) % 3.0
        lazy = data.draw(st.booleans())
        given_ = da.from_array(X, chunks=(max(1, len(X) // 3), X.shape[1])) if lazy else X
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*(collapse|column means)", UserWarning)
            try:
                igtm = IGTM(**chosen).fit(given_, sample_weight=weight)
            except ValueError as error:
                outcomes["refused"] += 1
                outcomes[str(error)[:60]] += 1
                return
            outcomes["fitted"] += 1
            assert_sound(igtm, X)
            igtm.set_params(model="means").partial_fit(X)
            assert np.isfinite(igtm.centers_).all()

    check()
    assert outcomes["fitted"] >= CASES / 2, "\n".join(map(str, outcomes.most_common()))


EDGES = {
    "f8": [5e-324, 1e-310, -1e-154, 1e-50, 1e38, 1e100, -1e150, 1e155, -1e200, np.finfo(np.float64).max],
    "f4": [1e-45, 1e-38, -1e-20, 1e15, 1e19, -2e19, 1e30, 1e38, -np.finfo(np.float32).max],
    "i8": [2**24, -(2**53), 2**63 - 1, -(2**63)],
    "u8": [2**24, 2**53, 2**64 - 1],
}
USES = {
    "describe": lambda igtm, X, weight: igtm.describe(
        X, ("means", "modes", "responsibilities", "relative", "entropy", "log_likelihood", "deviance")
    ),
    "applicability": lambda igtm, X, weight: igtm.applicability(X),
    "impute": lambda igtm, X, weight: igtm.impute(X),
    "score": lambda igtm, X, weight: igtm.score(X, sample_weight=weight),
    "density": lambda igtm, X, weight: landscape.density(igtm, X, weight).values,
    "property": lambda igtm, X, weight: (
        landscape.property(igtm, X, np.ldexp(1.0, X[:, 0] > 0), weight).values
    ),
    "quality": lambda igtm, X, weight: list(vars(quality(igtm, X, n_neighbors=2)).values()),
    "magnification": lambda igtm, X, weight: landscape.magnification(igtm).values,
    "partial_fit": lambda igtm, X, weight: igtm.partial_fit(X, sample_weight=weight).centers_,
}
CHOSEN = {
    "scale": st.sampled_from([None, "center", "standard"]),
    "missing": st.sampled_from(["error", "median", "marginalize"]),
    "solver": st.sampled_from(["em", "accelerated"]),
}
REASONS = ("column", "sample_weight", "weights are zero", "All rows of X are equal")


@st.composite
def tables_with_edges(draw):
    kind = draw(st.sampled_from(list(EDGES)))
    X = np.abs(8 * draw(generators()).normal(size=(12, draw(st.integers(2, 4))))).astype(kind)
    for _ in range(draw(st.integers(0, 2))):
        row, column = draw(st.integers(0, 11)), draw(st.integers(0, X.shape[1] - 1))
        X[row if draw(st.booleans()) else slice(None), column] = draw(st.sampled_from(EDGES[kind]))
    return X


def assert_says_why(error):
    assert any(reason in str(error) for reason in REASONS), error


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_numbers_at_the_ends_of_their_range_give_numbers_or_are_refused(data):
    X, more = data.draw(tables_with_edges()), data.draw(tables_with_edges())
    more = np.resize(more, (12, X.shape[1]))
    size = data.draw(st.sampled_from([None, None, 1e-310, 1e-30, 1e30, 1e300]))
    weight = None if size is None else np.full(12, size)
    igtm = IGTM(k=3, m=2, niter=3, tol=0, **{name: data.draw(values) for name, values in CHOSEN.items()})
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*(collapse|column means)", UserWarning)
        try:
            igtm.fit(X, sample_weight=weight)
        except ValueError as error:
            assert_says_why(error)
            igtm.fit(np.arange(24.0).reshape(12, 2)[:, np.arange(X.shape[1]) % 2])
        for name, use in USES.items():
            try:
                found = use(igtm, more, weight)
            except ValueError as error:
                assert_says_why(error)
                continue
            for value in found.values() if isinstance(found, dict) else [found]:
                assert np.isfinite(value).all(), name
