"""Plan an experiment from the log of an earlier one.

In: an event log. Out: listening by listener and day (`listener_days`), and many random splits of it into arms
(`splits`), computed on a Dask cluster (`parallel`). `analysis.power` and `analysis.aa` are the commands.
"""
