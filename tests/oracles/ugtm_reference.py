"""Fits of ugtm, and what it only prints of them."""

import contextlib
import io

import ugtm


def ugtm_fit(X, **parameters):
    """ugtm's fit, and how many iterations it took, which it only prints."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        fitted = ugtm.eIGTM(verbose=True, **parameters).fit(X).optimizedModel
    return fitted, printed.getvalue().count("Iter ")
