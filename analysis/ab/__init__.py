"""A/B reports: which arm won, by how much, how sure that is, and whether to trust the experiment.

A line of values, a file a step; read `report` first, which is the line:

    events (`events`: logs and stores) ─▶ a table of listeners (`listeners`) ─┐
    a table of the caller's (`table`) ────────────────────────────────────────┴▶ moments of arms
    (`moments`, in SQL) ─▶ effects (`effects`) ─▶ evidence ─▶ verdict ─▶ words

Evidence until today, and if it decides evidence until the day before, are all that a verdict
depends on. `metrics` says what a metric is; each built-in metric is a file of
`analysis/sql/metrics`. `interim` is the rule by which an analysis decides, `quality` counts what is
wrong with events, `interleaving` compares two recommenders of one arm, `config` is the YAML,
`warehouse` writes SQL for other databases, and `page` is the HTML.
"""
