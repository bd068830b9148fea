"""Fits that are cut after some passes, and the bits by which they are compared."""

from dask_igtm.passes import reduce


def bits(igtm):
    return igtm.centers_.tobytes(), igtm.history_.tobytes(), igtm.beta_inv_, igtm.log_likelihood_


def cut_after(monkeypatch, n_passes, error):
    """Let the reduction fail after some passes, the one for the moments included."""
    walk, left = reduce.walk, [n_passes]

    def failing(*args, **kwargs):
        left[0] -= 1
        if left[0] < 0:
            raise error
        return walk(*args, **kwargs)

    monkeypatch.setattr(reduce, "walk", failing)
