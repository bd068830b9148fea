"""Saved estimators come back as what they were."""

from __future__ import annotations

from dask_igtm.data import npz_io
from dask_igtm.data.whole_outputs import Path
from dask_igtm.estimators import atlas_file, saving
from dask_igtm.estimators.atlas import IGTMAtlas
from dask_igtm.estimators.base_map import BaseMap
from dask_igtm.estimators.classifier import IGTMClassifier
from dask_igtm.estimators.igtm import IGTM
from dask_igtm.estimators.regressor import IGTMRegressor
from dask_igtm.estimators.ugtm import eIGTM

MAPS = {kind.__name__: kind for kind in (IGTM, eIGTM)}
PREDICTORS = {kind.__name__: kind for kind in (IGTMClassifier, IGTMRegressor)}


def load(path: Path) -> BaseMap | IGTMClassifier | IGTMRegressor | IGTMAtlas:
    """Return the estimator that `save` wrote, of the same class, exact to the bit.

    Raises
    ------
    OSError
        If there is no such file, or it cannot be read.
    ValueError
        If it is something else, damaged, or of a newer format.
    """
    header, arrays = npz_io.read(path, npz_io.MODEL)
    name = header.get("class", "IGTM")  # which 0.1 left out
    if not isinstance(name, str) or name not in {*MAPS, *PREDICTORS, IGTMAtlas.__name__}:
        raise ValueError(
            f"{str(path)!r} holds a {name}, which this release does not know; upgrade dask_igtm."
        )
    with npz_io.understood(path):
        if name in PREDICTORS:
            return PREDICTORS[name].unpack(header, arrays)
        if name == IGTMAtlas.__name__:
            atlas: IGTMAtlas = atlas_file.unpack(IGTMAtlas, MAPS, header, arrays)
            return atlas
        igtm: BaseMap = saving.unpack(MAPS[name], header, arrays)
        return igtm
