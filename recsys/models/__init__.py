"""Fit models and rank tracks by them. The only folder that imports numba.

In: matrices of interactions and hyperparameters. Out: factors and top-k lists. Read `als` first
(the fit), then `topk` (lists), `model` (what a search knows of a model) and `kinds`; `kernels` has
the compiled loops.
"""
