"""Saved estimators come back as what they were."""

from __future__ import annotations

from dask_igtm import archive, saved
from dask_igtm.estimator import IGTM
from dask_igtm.supervised import IGTMClassifier, IGTMRegressor

PREDICTORS = {kind.__name__: kind for kind in (IGTMClassifier, IGTMRegressor)}


def load(path: archive.Path) -> IGTM | IGTMClassifier | IGTMRegressor:
    """Return the estimator that `save` wrote, of the same class, exact to the bit.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is something else, damaged, or of a newer format.
    """
    header, arrays = archive.read(path, archive.MODEL)
    predictor = PREDICTORS.get(header.get("class", ""))
    if predictor is not None:
        return predictor.unpack(header, arrays)
    igtm: IGTM = saved.unpack(IGTM, header, arrays)
    return igtm
