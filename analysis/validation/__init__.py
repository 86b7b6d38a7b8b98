"""Score recommendations on held-out listening.

In: lists of recommendations (`lists` checks them) and held-out listening. Out: ranking metrics with bootstrap intervals
over listeners (`validator`); their definitions are in `analysis/sql/validation/`.
"""
