"""A/B reports: which arm won, by how much, how sure that is, and whether to trust the experiment.

A line of values, a file a step; read `report` first, which is the line:

    events (`events`: logs and stores) ─▶ values of listeners (`listeners`) ─┐
    a table: rows ─▶ aggregates (`warehouse`) ─▶ the last times (`table`) ───┴▶ moments of arms
    (`moments`) ─▶ effects (`effects`) ─▶ evidence with findings ─▶ verdict ─▶ words

Evidence until today, and if it decides evidence until the day before, are all that a verdict
depends on. `metrics` says what a metric is; each built-in metric is a file of
`analysis/sql/metrics`. `interim` is the rule by which an analysis decides, `config` is the YAML,
and `page` is the HTML. `warehouse` writes the statement that sums up rows, for DuckDB here and for
other databases.
"""
