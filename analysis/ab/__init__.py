"""A/B reports: did an arm of an experiment win, by how much, how sure is that, and may the experiment be trusted.

In: event logs, or a session store. Out: `report.json`, `report.html` and a summary in the terminal. Read `report`
first: it puts the parts together. `tables` reads the log into one row a listener (SQL in `analysis/sql/ab`), `metrics`
has every metric, `effects` and `timeline` compare the arms by `analysis.statistics`, `data_quality` looks for what is
wrong with the log, and `verdict` decides. `config` is the YAML, `page` the HTML.
"""
