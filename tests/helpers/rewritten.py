"""Files of ours that say something else than what was saved, with all that they list as they list it."""

from dask_igtm.data import npz_io


def rewritten(path, kind, header=lambda header: None, arrays=lambda arrays: None):
    """Let two functions change the header and the arrays of a file in place, and return its path."""
    own, held = npz_io.read(path, kind)
    header(own)
    arrays(held)
    own = {name: value for name, value in own.items() if name not in ("format", "format_version")}
    npz_io.write(path, kind, own, held)
    return path
