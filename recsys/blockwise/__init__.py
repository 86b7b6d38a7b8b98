"""Fit one model on many workers, block by block, to the same bytes as one fit.

In: a dataset, hyperparameters and a cluster. Out: factors. Read `fit` first, then `worker`, which runs on the workers.
"""
