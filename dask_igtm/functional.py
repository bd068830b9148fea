"""`runIGTM`: impute, standardise, optionally rotate, fit and project, in one call."""

from __future__ import annotations

from typing import Any

from sklearn.utils import check_array

from dask_igtm.compat import OptimizedGTM, optimized
from dask_igtm.fitting import fit_map
from dask_igtm.inputs import row_blocks
from dask_igtm.outputs import outputs_of
from dask_igtm.progress import shown
from dask_igtm.projection import project_rows
from dask_igtm.settings import Settings
from dask_igtm.tables import is_lazy, named


def runIGTM(  # noqa: N802 - ugtm's name and signature
    data: Any,
    k: int = 16,
    m: int = 4,
    s: float = 0.3,
    regul: float = 0.1,
    n_blocks: int = 0,
    doPCA: bool = False,
    n_components: float = -1,
    missing: bool = True,
    missing_strategy: str = "median",
    random_state: int = 1234,  # noqa: ARG001
    niter: int = 200,
    verbose: bool = False,
) -> OptimizedGTM:
    """Fit a map to standardised rows, and project them.

    Parameters
    ----------
    data : as X of `IGTM.fit`; shape (n, D)
    k, m, s, regul, n_blocks, niter, verbose
        As in `IGTM`.
    doPCA : bool
        Rotate the standardised columns to their principal axes, from the same pass over the data.
    n_components : int or float
        Axes to keep; a share of the variance below 1; or -1 for 80 % of the variance.
    missing : bool
        Fill gaps (NaN) instead of refusing them.
    missing_strategy : {"median", "mean", "most_frequent", "constant"}
        By what; as in scikit-learn's SimpleImputer. Medians of lazy data come from a histogram, see
        `IGTM`.
    random_state : int
        For ugtm's signature; nothing here is random.

    Returns
    -------
    OptimizedGTM
        With `matMeans` and `matModes`, which are lazy dask arrays where `data` is lazy. `matW` and
        `matY` are in standardised coordinates (principal ones with `doPCA`).

    Raises
    ------
    ValueError
        If a parameter or the data cannot be used; the message says what to do.
    """
    if not is_lazy(data):
        data = check_array(named(data), accept_sparse="csr", ensure_all_finite=False)
    rows = row_blocks(data, n_blocks=n_blocks)
    settings = Settings(
        k,
        m,
        s,
        regul,
        niter,
        tol=1e-4,
        scale="standard",
        n_components=n_components if doPCA else None,
        missing=missing_strategy if missing else "error",
    )
    with shown(verbose) as listeners:
        fit = fit_map(rows, settings, listeners=listeners)
    outputs = outputs_of(("means", "modes"), len(fit.model.basis.nodes))
    means, modes = project_rows(rows, fit.model, outputs)
    return optimized(fit.model, converged=fit.converged, matMeans=means, matModes=modes)
