"""Score a model's lists on held-out listening.

In: factors and a dataset. Out: metrics with intervals, and what each listener adds to them. Read `lists` first (a list
for each listener), then `scorer`, and `off_policy` (listening time estimated from propensities).
"""
