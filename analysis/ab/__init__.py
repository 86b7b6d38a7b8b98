"""A/B reports: which arm won, by how much, how sure that is, and whether to trust the experiment.

In: event logs, a session store, or a table. Out: `report.json`, `report.html` and a summary in the
terminal. Read `report` first: it puts the parts together. `tables` reads the log, and `measures`
runs the SQL of the metrics (`metrics.yaml`, and your own) into one row a listener; a `table` of
anybody's has their moments. `effects` compares the arms by these, `analysis.statistics` and the
rule of `looks`. `parts` has what a report shows beside that, and
`verdict` decides by the `evidence`, in the sentences of `words`. `config` is the
YAML, `page` the HTML.
"""
