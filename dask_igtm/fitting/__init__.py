"""A fit from settings to result: its start, iterations as passes over data, checkpoints, progress.

The room brings solvers and passes together and needs no scikit-learn. Estimators call it.
"""
