"""`IGTM`, the map for new work."""

from __future__ import annotations

from typing import Any

from dask_igtm.estimators.base_map import BaseMap


class IGTM(BaseMap):
    """Incremental Generative Topographic Mapping of arrays in memory, dask arrays and Zarr.

    A map is a square grid of nodes, bent through data space as the centres of a Gaussian mixture. `fit`
    runs EM block by block; the result does not depend on how rows are divided into blocks, beyond
    rounding.

    Parameters
    ----------
    k : int, default=16
        Nodes along one side of the map, K = k * k; 0 takes int(sqrt(5 * sqrt(N))) + 2.
    m : int, default=4
        Radial basis functions (RBFs) along one side, M = m * m; 0 takes int(sqrt(k)).
    s : float, default=0.3
        Variance of an RBF, in squared spacings of the RBF centres. Small values make a map that bends
        more. 0 takes the largest squared distance between two centres.
    regul : float or "auto", default=0.1
        Ridge on the weights of the map, in inverse squared units of the model (see `scale`). "auto" lets the
        evidence choose it, and the noise with it, from the fifth iteration on and at no further pass; that
        needs another `scale` than None, and another solver than "sampled". It sets out from a hundredth of
        the ridge under which the map would collapse; one that runs away is held where no map grows, with a
        warning. The evidence is the probability of these rows, averaged over maps; the ridge that suits new
        rows best may be another, so compare `score` of rows kept back with that of a few fixed ones.
    random_state : int, RandomState or None, default=1234
        Seeds what is random: the rows that all solvers but plain EM keep of the first pass, and `sample`.
        Plain EM has nothing random.
    niter : int, default=200
        Largest number of iterations over all rows; 0 stays at the plane of the first two principal axes.
    verbose : bool, default=False
        Show iteration, log-likelihood, change, rows per second and time left on stderr: as a bar in a
        terminal with rich (the extra `progress`) or a notebook with ipywidgets too, as a line an iteration
        elsewhere. The same
        lines always go to the logger "dask_igtm".
    model : {"means", "modes", "responsibilities", "complete"}, default="means"
        What `transform` returns of a row: the posterior mean on the map (2 columns), the node with the
        largest posterior (2 columns), the posterior over the nodes (K columns), or all of it as an
        `OptimizedGTM`.
    n_blocks : int, default=0
        Blocks into which `fit` divides the rows; 0 takes the chunks of lazy data, and 5,000 rows each
        of an array in memory.
    scale : {None, "center", "standard", "auto"}, default="auto"
        None gives the answer of ugtm's eIGTM, whose ridge pulls towards the origin of X. "center" pulls
        towards the column means instead, so that the fit does not depend on offsets. "standard" also
        divides by the column standard deviations, so that it does not depend on units. "auto" takes
        "standard" where columns seem to have units of their own, and "center" else: where the largest
        standard deviation is more than ten times that of the middle column, and some columns have a
        correlation of 0.3 and more, as principal components have not. Of more than 1,024 columns (2,048 with
        `n_components`) it takes "center". The log says which.
    tol : float, default=1e-4
        Stop after four consecutive changes of at most `tol`, of ugtm's "Err" for plain EM and of the
        penalised mean log-likelihood for the other solvers, which also stop where at most half of `tol` is
        left to gain; 0 never stops early.
    solver : {"em", "accelerated", "sampled", "auto"}, default="auto"
        "em" is plain EM, as in ugtm. "accelerated" climbs the same objective by L-BFGS in the metric of
        the M-step, each iteration one pass, and near its peak by the curvature of a sample of the rows.
        "sampled" first searches for a good optimum on a sample of some rows a node, from several starts, and
        then goes over all rows from the best of them; where there are too few rows for that, or the sample
        does not show what counts, it does what "accelerated" does. Both keep the sample of the pass for the
        moments, at most 128 MB, never end below the best map that they saw over all rows, and may end at
        another local optimum than EM. "auto" is "sampled", but "accelerated" with `regul="auto"` and in
        searches. "Choosing a solver" in the documentation compares them.
    noise : {"isotropic", "diagonal", "bernoulli", "poisson"}, default="isotropic"
        What an entry of a row is drawn from, given its node. "isotropic" is Gaussian noise of one variance,
        in the units of the model; "diagonal" has a variance for each column, for columns of which one is
        measured well and the next badly. "bernoulli" is for bits, 0 and 1, and "poisson" for counts: the map
        is then one of log odds or log rates, and a fit sets out from the plane of the rows (of the logarithms
        of counts). Their columns have one unit, so `scale` is of no use; `regul` pulls towards a map on which
        columns are independent. "Which noise for my data" in the documentation tells more.
    exposure : {None, "total"}, default=None
        Of counts: "total" multiplies the rates of a row by its sum, as of cells that were read to different
        depth, or texts of different lengths. Likelihoods are then of a row whose sum is known.
    missing : str, default="error"
        What `fit` and all that follows make of gaps, which are entries that are NaN. "error" refuses them.
        "marginalize" lets a row count by what is observed of it, which is exact EM: a gap gets its
        expectation under the map in every iteration, and a row with nothing observed has no weight in
        `fit` and `score`, and the prior in `transform`. "mean", "median", "most_frequent" and "constant"
        (0) fill a gap with that value of its column, as scikit-learn's SimpleImputer does, from one pass
        over lazy data; two for the median, which is then exact only to half a bin of a histogram, a
        4,096th of the column's range (a 64th in very many columns).
    keep_empty_rows : bool, default=False
        Take a row in which every entry is NaN (the sea, in data of the land) for no row, whatever `missing`
        is: it has no weight in `fit` and whatever else adds up rows, and its results are NaN, -1 as the index
        of a node, None as a label, and False of `applicability`. Sparse rows are never empty.
    n_components : int, float in (0, 1), or None, default=None
        Map the first principal axes instead of the columns: that many, as many as explain that share of
        the variance, or as many as explain 80 % for -1; of more than 2,048 columns at most 256. Likelihoods
        are then densities of the principal coordinates.
    persist : {"auto", True, False}, default="auto"
        Keep the blocks of lazy X in the workers' memory during `fit`, so that they are read once. "auto"
        does where they take at most half of that memory, and logs it.

    Attributes
    ----------
    nodes_ : ndarray of shape (K, 2)
        Latent grid in [-1, 1]^2, first coordinate slowest.
    centers_ : ndarray of shape (K, D)
        Where the nodes lie in data space, in the units of X: means of their rows, so for bits probabilities,
        and for counts rates, with `exposure="total"` per unit of a row's sum.
    weights_ : ndarray of shape (M + 1, D)
        Coefficients of the map in the units of X: `phi @ weights_ == centers_`; of bits and counts those of
        the log odds and the log rates.
    beta_inv_ : float or ndarray of shape (D,)
        Noise variance in the units of the model: those of X, or `scale_` where columns are standardised. One
        a column for "diagonal"; 1 for bits and counts.
    noise_variance_ : ndarray of shape (D,)
        Noise variance of each column in squared units of X; of bits and counts its mean over the nodes, and
        with `exposure="total"` that of a rate per unit, in rows of the mean sum.
    scale_ : ndarray of shape (D,)
        Units of the model in those of X.
    regul_ : float
        Ridge at the end: `regul`, or the last choice of the evidence.
    n_iter_ : int
        Iterations over all rows.
    n_samples_seen_ : float
        Rows of `fit` and of the blocks that followed, each times its weight.
    n_passes_ : float
        Passes over the data: one an iteration and one for `log_likelihood_`; what is done on a sample of the
        rows counts as its share of them. Of bits and counts one more, which the map sets out from, and with
        `exposure="total"` one for the mean of the sums. In more than 1,024 columns (2,048 with
        `n_components`) also those that find the principal axes after the first pass, at most 24.
    stopped_by_ : {"tolerance", "predicted gain", "iterations", "callback", "collapse", "interrupt"}
        Why the fit ended: changes within `tol`; less than half of `tol` left to gain; `niter` iterations
        done, or the one of a block of `partial_fit`; a callback's wish; one of the first two on a map that
        has collapsed onto a point or whose ridge ran away; Ctrl-C. "unknown" in files of 0.1 of fits that
        ended before `niter`, for whatever reason.
    converged_ : bool
        Whether that is one of the first two.
    log_likelihood_ : float
        Mean of ln p(x) over the rows of `fit`: a density in the units of X, or a probability of bits and
        counts, which do not compare.
    history_ : ndarray of shape (n,)
        The same before each iteration, those over a sample included.
    history_shares_ : ndarray of shape (n,)
        How many of the rows each of these is of: 1 for all, less for a sample.
    deviance_ : ndarray of shape (602,) or None
        How far ln p(x) of the rows of `fit` lies below the largest possible: its quantiles at the shares
        1 - 10^(-i / 100), and 1; what `applicability` compares with. After `partial_fit` an average over the
        stream; None after an interruption.
    kernel_ : {"numba", "numpy"}
        What computed the softmax: numba's compiled one where the driver has numba.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Only where X had column names.

    References
    ----------
    C. M. Bishop, M. Svensén, C. K. I. Williams (1998). GTM: The Generative Topographic Mapping. Neural
    Computation 10, 215-234.

    H. A. Gaspar et al. (2015). Chemical data visualization and analysis with incremental generative
    topographic mapping: big data challenge. J. Chem. Inf. Model. 55, 84-94.

    C. M. Bishop, M. Svensén, C. K. I. Williams (1998). Developments of the generative topographic mapping.
    Neurocomputing 21, 203-224. For `regul="auto"`.

    A. Kabán, M. Girolami (2001). A combined latent class and trait model for the analysis and visualization
    of discrete data. IEEE Trans. Pattern Anal. Mach. Intell. 23, 859-872. For bits and counts.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from dask_igtm import IGTM
    >>> igtm = IGTM(k=8).fit(load_iris().data)
    >>> igtm.transform(load_iris().data).shape
    (150, 2)
    """

    def __init__(
        self,
        k: int = 16,
        m: int = 4,
        s: float = 0.3,
        regul: float | str = 0.1,
        random_state: Any = 1234,
        niter: int = 200,
        verbose: bool = False,
        model: str = "means",
        n_blocks: int = 0,
        *,
        scale: str | None = "auto",
        tol: float = 1e-4,
        solver: str = "auto",
        noise: str = "isotropic",
        exposure: str | None = None,
        missing: str = "error",
        keep_empty_rows: bool = False,
        n_components: float | None = None,
        persist: bool | str = "auto",
    ) -> None:
        self.k = k
        self.m = m
        self.s = s
        self.regul = regul
        self.random_state = random_state
        self.niter = niter
        self.verbose = verbose
        self.model = model
        self.n_blocks = n_blocks
        self.scale = scale
        self.tol = tol
        self.solver = solver
        self.noise = noise
        self.exposure = exposure
        self.missing = missing
        self.keep_empty_rows = keep_empty_rows
        self.n_components = n_components
        self.persist = persist
