"""A/B reports: which arm won, by how much, how sure that is, and whether to trust the experiment.

A line of values, a file a step; read `report` first, which is the line:

    events (`events`: logs and stores) ─▶ a table of listeners (`listeners`) ─┐
    a table of the caller's (`table`) ────────────────────────────────────────┴▶ moments of arms
    (`moments`, in SQL) ─▶ effects (`effects`) ─▶ verdict (`verdict`) ─▶ words (`words.txt.jinja`)

`metrics` says what a metric is; each built-in one is a file of `analysis/sql/metrics`. `interim` is
the rule by which an analysis decides, `evidence` what a verdict depends on, `interleaving` compares
two recommenders of one arm, `config` is the YAML, and `page` the HTML.
"""
