"""Search for the best model: plan, run steps on the cluster, record, decide, conclude.

In: a session store and a configuration. Out: a run folder (`recsys.run`). Read `search` first, then
`trials` (what is tried), `state` and `schedule` (what is done next), `step` (what runs on a
worker), `scorer`, `ledger` (the scores, on disk) and `leaderboard`; the package runs as a command,
which also writes the report and the export.
"""
