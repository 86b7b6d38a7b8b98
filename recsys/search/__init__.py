"""Search for the best model: plan, run steps on the cluster, record, decide, conclude.

In: a session store and a configuration. Out: a run folder (`recsys.run`). Read `search` first, then
`trials` (the candidates), `state` and `schedule` (the next steps), `step` (the work of a
worker), `evaluation`, `ledger` (the scores, on disk), `leaderboard`, `comparison` and `winner`; the
package runs as a command, which also writes the report and the export.
"""
