"""Cells in an AnnData: what `dask_igtm.tl` writes is what `IGTM` says of the table, however it is stored."""

import subprocess
import sys
import warnings

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pytest
from distributed import Client, LocalCluster
from helpers.errors import assert_says, raised
from helpers.lazy import computing
from scipy import sparse

import dask_igtm
from dask_igtm import IGTM

ad = pytest.importorskip("anndata")
pytest.importorskip("xarray")  # of lazy ones
from dask_igtm import tl  # noqa: E402

SETTINGS = {"k": 6, "m": 3, "scale": "center", "niter": 5, "tol": 0.0}
OUTPUTS = ("node", "entropy", "log_likelihood")
N, D = 240, 30
GENES = [f"gene{i}" for i in range(D)]


def counts():
    """Return log counts of three kinds of cells, mostly zero."""
    random = np.random.default_rng(5)
    rates = random.gamma(0.3, 2.0, size=(3, D))
    return np.log1p(random.poisson(rates[np.arange(N) % 3]))


X = counts()
MASK = X.var(axis=0) > np.median(X.var(axis=0))


def cells(table=X):
    obs = pd.DataFrame({"kind": np.array(["a", "b", "c"])[np.arange(len(X)) % 3]})
    obs.index = [f"cell{i}" for i in range(len(X))]
    var = pd.DataFrame({"variable": MASK, "mean": X.mean(axis=0)}, index=GENES)
    adata = ad.AnnData(table, obs, var)
    adata.layers["doubled"] = 2 * X
    adata.obsm["X_part"] = X[:, :7]
    return adata


def assert_says_what_igtm_does(adata, igtm, table, obsm="X_gtm", key="gtm", rtol=1e-9):
    said = igtm.describe(table, ("means", *OUTPUTS))
    np.testing.assert_allclose(adata.obsm[obsm], said["means"], rtol, atol=1e-9)
    np.testing.assert_array_equal(adata.obs[f"{key}_node"], said["node"])
    for name in OUTPUTS[1:]:
        np.testing.assert_allclose(adata.obs[f"{key}_{name}"], said[name], rtol, atol=1e-9)


@pytest.mark.parametrize("settings", [{"noise": "poisson"}, {"noise": "poisson", "exposure": "total"}])
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
def test_a_layer_of_counts_and_their_noise(settings, form, tmp_path):
    counts = np.expm1(X).round()
    adata = cells()
    adata.layers["counts"] = form(counts)
    settings = {"k": 6, "m": 3, "niter": 5} | settings
    tl.gtm(adata, layer="counts", **settings)
    assert_says_what_igtm_does(adata, IGTM(**settings).fit(form(counts)), counts, rtol=1e-6)
    adata.write_h5ad(tmp_path / "cells.h5ad")
    stored = ad.read_h5ad(tmp_path / "cells.h5ad")
    assert tl.load(stored).model_.noise == tl.load(adata).model_.noise
    other = adata[:50].copy()
    tl.project(other, stored)
    np.testing.assert_allclose(other.obsm["X_gtm"], adata.obsm["X_gtm"][:50], atol=1e-9)
    message = raised(ValueError, tl.gtm, cells(), **settings)  # which has their logarithms
    assert_says(message, "are no counts", "column 'gene", "another noise")


@pytest.fixture(scope="module")
def expected():
    return IGTM(**SETTINGS).fit(X)


@pytest.fixture(scope="module")
def reference():
    adata = cells()
    tl.gtm(adata, **SETTINGS)
    return adata


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Write cells, sparse and dense, to files of both formats."""
    folder = tmp_path_factory.mktemp("cells")
    with warnings.catch_warnings(), ad.settings.override(zarr_write_format=3):
        warnings.simplefilter("ignore", UserWarning)  # of codecs that Zarr has not standardised
        for kind, make in (("sparse", sparse.csr_matrix), ("dense", np.array), ("csc", sparse.csc_matrix)):
            adata = cells(make(X))
            adata.write_h5ad(folder / f"{kind}.h5ad")
            adata.write_zarr(folder / f"{kind}.zarr")
    return folder


def lazily(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of metadata that are not consolidated
        return ad.experimental.read_lazy(path)


@pytest.mark.parametrize("make", [np.array, sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array])
def test_cells_in_memory(expected, make):
    adata = cells(make(X))
    assert tl.gtm(adata, **SETTINGS) is None
    assert_says_what_igtm_does(adata, expected, X)
    assert adata.obs["gtm_node"].dtype == np.int32
    assert list(adata.obs) == ["kind", "gtm_node", "gtm_entropy", "gtm_log_likelihood"]


def test_a_given_key_is_used_as_it_is(expected):
    adata = cells()
    tl.gtm(adata, key_added="mine", **SETTINGS)
    assert_says_what_igtm_does(adata, expected, X, "mine", "mine")
    assert set(adata.uns) == {"mine"}
    assert set(adata.obsm) == {"X_part", "mine"}


def test_a_copy_leaves_the_original(expected):
    adata = cells()
    copied = tl.gtm(adata, copy=True, **SETTINGS)
    assert_says_what_igtm_does(copied, expected, X)
    assert set(adata.obs) == {"kind"}
    assert not adata.uns
    other = tl.project(adata, copied, copy=True)
    assert_says_what_igtm_does(other, expected, X)
    assert not adata.uns


@pytest.mark.parametrize(
    ("source", "table", "names"),
    [
        ({"use_rep": "X"}, X, GENES),
        ({"use_rep": "X_part"}, X[:, :7], None),
        ({"layer": "doubled"}, 2 * X, GENES),
        ({"mask_var": "variable"}, X[:, MASK], np.array(GENES)[MASK]),
        ({"mask_var": MASK}, X[:, MASK], np.array(GENES)[MASK]),
        ({"mask_var": MASK.tolist()}, X[:, MASK], np.array(GENES)[MASK]),
        ({"mask_var": pd.Series(MASK, GENES, dtype="boolean")}, X[:, MASK], np.array(GENES)[MASK]),
        ({"layer": "doubled", "mask_var": "variable"}, 2 * X[:, MASK], np.array(GENES)[MASK]),
    ],
)
@pytest.mark.parametrize("make", [np.array, sparse.csr_matrix])
def test_what_is_mapped(make, source, table, names):
    adata = cells(make(X))
    tl.gtm(adata, **source, **SETTINGS)
    assert_says_what_igtm_does(adata, IGTM(**SETTINGS).fit(table), table)
    assert list(getattr(tl.load(adata), "feature_names_in_", [])) == ([] if names is None else list(names))
    other = cells(make(X))
    tl.project(other, adata)
    np.testing.assert_array_equal(other.obsm["X_gtm"], adata.obsm["X_gtm"])


def test_the_map_says_what_it_was_made_of(reference):
    adata = cells()
    tl.gtm(adata, layer="doubled", mask_var="variable", n_components=None, **SETTINGS)
    assert adata.uns["gtm"]["params"] == {"layer": "doubled", "mask_var": "variable", **SETTINGS}
    assert reference.uns["gtm"]["params"] == SETTINGS


def test_a_map_comes_back_to_the_bit(reference, expected):
    igtm = tl.load(reference)
    assert igtm.get_params() == expected.get_params()
    assert list(igtm.feature_names_in_) == GENES
    for name in ("centers_", "history_", "deviance_"):
        assert getattr(igtm, name).tobytes() == getattr(expected, name).tobytes()
    assert igtm.transform(pd.DataFrame(X, columns=GENES)).tobytes() == expected.transform(X).tobytes()
    assert igtm.applicability(pd.DataFrame(X, columns=GENES)).mean() > 0.9


@pytest.mark.parametrize("ending", ["h5ad", "zarr"])
def test_maps_are_stored_with_the_cells(reference, tmp_path, ending):
    path = tmp_path / f"cells.{ending}"
    with warnings.catch_warnings(), ad.settings.override(zarr_write_format=3):
        warnings.simplefilter("ignore", UserWarning)
        reference.write_h5ad(path) if ending == "h5ad" else reference.write_zarr(path)
    read = ad.read_h5ad if ending == "h5ad" else ad.read_zarr
    for adata in (read(path), lazily(path)):
        assert tl.load(adata).centers_.tobytes() == tl.load(reference).centers_.tobytes()
        other = cells()
        tl.project(other, adata)
        assert_says_what_igtm_does(other, tl.load(reference), pd.DataFrame(X, columns=GENES))
        other.write_h5ad(tmp_path / "other.h5ad")
    assert dict(read(path).uns["gtm"]["params"]) == SETTINGS


@pytest.mark.parametrize("ending", ["h5ad", "zarr"])
@pytest.mark.parametrize("kind", ["sparse", "dense"])
def test_lazy_cells_stay_where_they_are(stored, expected, kind, ending):
    adata = lazily(stored / f"{kind}.{ending}")
    tl.gtm(adata, **SETTINGS)
    assert isinstance(adata.X, da.Array)
    assert_says_what_igtm_does(adata, expected, X, rtol=1e-6)
    assert list(tl.load(adata).feature_names_in_) == GENES
    in_memory = adata.to_memory()
    np.testing.assert_array_equal(in_memory.obs["gtm_node"], adata.obs["gtm_node"])

    masked = lazily(stored / f"{kind}.{ending}")
    tl.gtm(masked, mask_var="variable", **SETTINGS)
    assert_says_what_igtm_does(masked, IGTM(**SETTINGS).fit(X[:, MASK]), X[:, MASK], rtol=1e-6)
    other = lazily(stored / f"{kind}.{ending}")[::-1, ::-1]
    with pytest.warns(UserWarning, match="of view, initializing view as actual"):
        tl.project(other, masked)
    np.testing.assert_allclose(other.obsm["X_gtm"], masked.obsm["X_gtm"][::-1], rtol=1e-9, atol=1e-9)


def test_backed_cells_stay_where_they_are(stored, expected):
    kinds = [ad.read_h5ad(stored / f"{kind}.h5ad", backed="r") for kind in ("sparse", "dense")]
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as cluster, Client(cluster):
        for adata in kinds:
            tl.gtm(adata, **SETTINGS)  # by path and name, for what h5py opens does not pickle
    masked = cells()
    tl.gtm(masked, mask_var=MASK, **SETTINGS)
    for adata in kinds:
        assert adata.isbacked
        assert_says_what_igtm_does(adata, expected, X, rtol=1e-6)
        tl.project(adata, masked)
        np.testing.assert_allclose(adata.obsm["X_gtm"], masked.obsm["X_gtm"], rtol=1e-6, atol=1e-6)
        adata.file.close()


def test_views_become_their_own():
    adata = cells()
    part = adata[::2, MASK]
    with pytest.warns(UserWarning, match="of view, initializing view as actual"):
        tl.gtm(part, **SETTINGS)
    assert not part.is_view
    assert_says_what_igtm_does(part, IGTM(**SETTINGS).fit(X[::2, MASK]), X[::2, MASK])
    assert "X_gtm" not in adata.obsm


def test_genes_are_found_by_name(reference):
    order = np.random.default_rng(1).permutation(D + 3)
    wide = np.hstack([X, np.full((N, 3), np.nan)])[:, order]
    names = np.array([*GENES, "x", "y", "z"])[order]
    for make in (np.array, sparse.csr_matrix):
        other = ad.AnnData(make(wide), var=pd.DataFrame(index=names))
        tl.project(other, reference)
        np.testing.assert_allclose(other.obsm["X_gtm"], reference.obsm["X_gtm"], rtol=1e-9, atol=1e-9)
    assert tl.load(other).get_params() == tl.load(reference).get_params()


def test_projecting_needs_the_map_s_genes(reference):
    lacking = cells()[:, 7:].copy()
    message = raised(ValueError, tl.project, lacking, reference)
    assert_says(message, "lacks 7 of the 30 genes", "'gene0', 'gene1'", "and 2 more", "under these names")
    twice = cells()
    twice.var_names = ["gene0", *GENES[:-1]]
    assert_says(raised(ValueError, tl.project, twice, reference), "several genes 'gene0'", "make_unique")
    assert not lacking.uns


def test_projecting_needs_what_was_mapped():
    adata, other = cells(), cells()
    tl.gtm(adata, use_rep="X_part", **SETTINGS)
    other.obsm["X_part"] = X[:, :5]
    assert_says(raised(ValueError, tl.project, other, adata), "5 features", "7 features")
    del other.obsm["X_part"]
    assert_says(
        raised(ValueError, tl.project, other, adata), "adata_new.obsm lacks 'X_part'", "it has nothing"
    )


def test_nothing_is_read_to_refuse(stored):
    adata = lazily(stored / "sparse.zarr")
    with dask.config.set(scheduler=computing):
        for source, said in (
            ({"use_rep": "X_pca"}, ["obsm lacks 'X_pca'", "it has 'X_part'"]),
            ({"layer": "raw"}, ["layers lacks 'raw'", "it has 'doubled'"]),
            ({"use_rep": "X_part", "layer": "doubled"}, ["two tables", "give one"]),
            ({"use_rep": "X_part", "mask_var": MASK}, ["chooses genes", "no mask_var, or no use_rep"]),
            ({"mask_var": MASK[1:]}, [r"mask_var has dtype bool and shape \(29,\)", "each of the 30"]),
            ({"mask_var": np.flatnonzero(MASK)}, ["mask_var has dtype int64", "give a bool"]),
            ({"mask_var": "absent"}, [r"no adata.var\['absent'\]", "give one of"]),
            ({"mask_var": np.zeros(D, bool)}, ["leaves no gene"]),
            ({"mask_var": pd.Series(MASK, GENES[::-1])}, ["another index", "reindex"]),
            ({"random_state": np.random.RandomState(0)}, ["cannot be saved"]),
            ({"solver": "newton"}, ["solver"]),
            ({"unknown": 3}, ["unexpected keyword argument 'unknown'"]),
        ):
            assert_says(raised((ValueError, TypeError), tl.gtm, adata, **source), *said)
    assert "gtm" not in adata.uns


@pytest.mark.parametrize("ending", ["h5ad", "zarr"])
def test_what_is_stored_by_columns_is_refused(stored, ending):
    lazy = lazily(stored / f"csc.{ending}")
    lazy.X = lazy.X.rechunk((N, 10))  # as of more genes than a chunk has
    assert_says(raised(ValueError, tl.gtm, lazy), "adata.X is stored by columns", r"adata.X.tocsr\(\)")
    if ending == "h5ad":
        adata = ad.read_h5ad(stored / "csc.h5ad", backed="r")
        assert_says(raised(ValueError, tl.gtm, adata), "adata.X is stored by columns", r"adata.X.tocsr\(\)")
        adata.file.close()


def test_what_cannot_be_written_to_is_refused(stored):
    backed = ad.read_h5ad(stored / "dense.h5ad", backed="r")
    assert_says(raised(ValueError, tl.gtm, backed[:9]), "adata is a view of a backed", "to_memory")
    assert_says(raised(ValueError, tl.gtm, backed, copy=True), "pass a filename")
    backed.file.close()
    assert_says(raised(TypeError, tl.gtm, X), "adata is of type ndarray", "give an AnnData")
    assert_says(raised(ValueError, tl.gtm, ad.AnnData(obs=cells().obs)), "adata.X is None")


def test_a_map_that_is_not_there(reference):
    message = raised(ValueError, tl.load, reference, "mine")
    assert_says(message, "no map at 'mine'", r"tl.gtm\(adata, key_added='mine'\) first")
    adata = cells()
    for other in ({}, {"params": {"a": 1}}, np.zeros(3), "text"):
        adata.uns["gtm"] = other
        assert_says(raised(ValueError, tl.project, cells(), adata), "no map at 'gtm'")
    adata.uns["gtm"] = {**reference.uns["gtm"], "header": '{"format_version": 2}'}
    assert_says(raised(ValueError, tl.load, adata), "format 2", "upgrade dask_igtm")


def test_gaps_are_named_by_gene():
    gappy = X.copy()
    gappy[3, 4] = np.nan
    assert_says(raised(ValueError, tl.gtm, cells(gappy), **SETTINGS), "gene4")


def test_igtm_says_where_cells_go():
    message = raised(TypeError, IGTM().fit, cells())
    assert_says(message, r"give it to dask_igtm.tl.gtm\(X\)", r"X\.X")


def test_anndata_is_imported_on_first_use():
    code = (
        "import sys, dask_igtm; from dask_igtm import IGTM, landscape; IGTM; print('anndata' in sys.modules);"
        "dask_igtm.tl; print('anndata' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout.split() == ["False", "True"]


def test_a_missing_anndata_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "anndata", None)
    monkeypatch.delitem(sys.modules, "dask_igtm.tl")
    monkeypatch.delattr(dask_igtm, "tl")
    with pytest.raises(ImportError, match=r"tl needs anndata.*pip install 'dask_igtm\[cells\]'"):
        _ = dask_igtm.tl
