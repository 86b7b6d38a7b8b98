"""Score lists on held-out listening.

In: a list for each listener (`recsys.models.topk`) and a dataset. Out: metrics with intervals, and what each listener
adds to them. Read `scorer` first, then `off_policy` (listening time estimated from propensities).
"""
