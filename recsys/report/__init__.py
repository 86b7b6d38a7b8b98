"""The report of a search: the leaderboard, the winner, its lead and the data.

In: a run folder and its dataset. Out: `report.html` in the run folder, which
needs no other file. Begin at `page`.
"""
