"""Search for the best hyperparameters: plan, run steps on the cluster, record, decide, conclude.

In: a session store and a configuration. Out: a run folder (`recsys.runs`). Read `search` first, then `schedule` (what
is done next), `state` and `fit_step` (what runs on a worker); the package runs as a command.
"""
