"""The report of a search: what was tried, what won, how sure that is, and on what data.

In: a run folder, and the dataset it was searched on. Out: `report.html` in the run folder, which
needs no other file. Read `page`.
"""
