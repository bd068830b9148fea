"""The face of scikit-learn: estimators that check their parameters, call the engine, and keep the result.

There is no mathematics here, and nothing but the signatures, docstrings and fitted attributes that users see.
Users and the command line call it.
"""
