"""What a search leaves in its run folder, and how it is read again.

Written by `recsys.search`; read by the report, the lab and the export. Read `folder` first (what
stands where, the winner), then `trials` (what is tried), `ledger` (the scores, on disk), `ranking`
and `leaderboard`.
"""
