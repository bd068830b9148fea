"""What a fitted map does with rows: positions, likelihoods, imputation, tables, projections, quality.

`FittedMap` holds it, and `validate` makes one of an estimator, and rows of whatever the user gives. The room
knows fits by their results only. Landscapes, pictures and estimators call it.
"""
