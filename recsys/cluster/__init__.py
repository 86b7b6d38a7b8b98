"""Run plain functions on a Dask cluster: processes here, or a scheduler that is there.

In: a function and its arguments. Out: outcomes as they come. Read `cluster` first, then `retry` (what becomes of a call
whose worker dies) and `preflight` (whether workers see the folders they need).
"""
