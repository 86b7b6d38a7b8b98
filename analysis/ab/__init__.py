"""A/B reports: did an arm of an experiment win, by how much, how sure is that, and may the experiment be trusted.

In: event logs, or a session store. Out: the terminal's table, `report.json` and `report.html` of a report. From lines
to counts, means and covariances per arm it is SQL (`analysis/sql/ab`); from there on `analysis.statistics`.
"""
