"""Run plain functions on a Dask cluster, of this machine or of a scheduler that already runs.

In: a function and its arguments. Out: an outcome for each call. Read `cluster` first, then
`processes` (of this machine) and `preflight` (whether workers have the software and the folders
that a search needs). The only package of recsys that imports Dask.
"""
