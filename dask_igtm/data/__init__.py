"""What the user gives and gets: containers, names of columns, rows in blocks, files.

The room divides whatever holds rows into the blocks of a dask array, and reads and writes Zarr and NPZ. It
knows no map. Passes walk the blocks; fits, projections and estimators read and write by it.
"""
