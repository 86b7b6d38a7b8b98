"""What a search leaves in its run folder: trials, scores, ledger, ranking, leaderboard and winner.

Written by `recsys.search`; read by the report, the lab and the export. Read `folder` first, then `scores` and `trials`.
"""
