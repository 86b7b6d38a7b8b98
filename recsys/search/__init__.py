"""Search for the best hyperparameters: plan, run steps on the cluster, record, decide, conclude.

In: a session store and a configuration. Out: a run folder (`recsys.runs`). Read `search` first, the
whole loop, then `state` (what is known), `schedule` (what is done next) and `fit_step` (what runs
on a worker); the package runs as a command, which also writes the report and the export.
"""
