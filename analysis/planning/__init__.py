"""Plan an experiment from the log of an earlier one.

In: an event log. Out: listening by listener and day (`listener_days`), from it the listeners and days that an
experiment takes (`power`), and the error rates of many random splits (`aa`), computed here or on a Dask cluster. The
commands are `analysis.power` and `analysis.aa`.
"""
