"""The algorithm: from sums over all rows to the next map, and from iterations to a fit.

A solver is a state that steps; one loop drives one state or many. The room knows neither data nor Dask: it is
given a function that makes a pass. Fits call it.
"""
