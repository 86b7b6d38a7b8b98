"""Fit one ALS model across all workers, for models too large for one.

In: a dataset cut into blocks of listeners and tracks. Out: the same factors as a fit on one machine. Read `fit` first,
then `worker`, which is what runs on the workers.
"""
