"""Fit models and rank tracks by them. The only folder that imports `implicit`.

In: matrices of interactions and hyperparameters. Out: factors and top-k lists. Read `params` first, then `als`,
`normal_equations` (the formulas), `topk` and `baselines`.
"""
