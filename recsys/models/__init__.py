"""Fit models and rank tracks by them. The only folder that imports `implicit` and numba.

In: matrices of interactions and hyperparameters. Out: factors and top-k lists. Read `als` first
(hyperparameters, formulas and the fit), then `kernels` (compiled solvers), `topk` (lists; compiled
in `rank_kernels`) and `kinds` (what a search knows of a model; the baselines). `vectors` has what
both compiled files multiply with.
"""
