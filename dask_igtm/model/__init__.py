"""What a map is, as frozen values of arrays: its grid and basis, its coordinates, its weights and noise.

The room knows NumPy and SciPy alone and no data. Everything else is built on it.
"""
