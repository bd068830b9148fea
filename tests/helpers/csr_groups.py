"""CSR groups as AnnData writes them, made without it."""

import zarr

PARTS = ("data", "indices", "indptr")


def describe(group, shape, encoding="csr_matrix"):
    group.attrs.update({"encoding-type": encoding, "encoding-version": "0.1.0", "shape": list(shape)})


def zarr_csr(path, X, chunk=97, zarr_format=3, **replaced):
    """Write sparse rows to a Zarr group; parts may be replaced by others."""
    group = zarr.open_group(path, mode="w", zarr_format=zarr_format)
    describe(group, X.shape)
    for name in PARTS:
        part = replaced.get(name, getattr(X, name))
        array = group.create_array(
            name, shape=part.shape, dtype=part.dtype, chunks=(chunk,), config={"write_empty_chunks": True}
        )
        array[:] = part
    return group


def hdf5_csr(file, name, X):
    """Write sparse rows to a group of an HDF5 file."""
    group = file.create_group(name)
    describe(group, X.shape, f"{X.format}_matrix")
    for part in PARTS:
        group[part] = getattr(X, part)
    return group
