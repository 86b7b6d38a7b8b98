"""Fit models and rank tracks by them. The only folder that imports numba.

In: matrices of interactions and hyperparameters. Out: factors and top-k lists. Read `als` first
(the fit), then `kernels` (the compiled solver), `topk` (lists; compiled in `rank_kernels`) and
`kinds` (what a search knows of a model; the baselines). `vectors` has the processor's instructions
for both compiled files.
"""
