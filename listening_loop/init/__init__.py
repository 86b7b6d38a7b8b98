"""`listening-loop init FILE`: from a file of plays to everything that leads to a verdict.

In: a file or folder of plays. Out: `plays.sql`, the query that reads them, the configurations of a
search, of a service, of an experiment with three arms and of its report, and the commands that
follow. Read `command` first, then `look`, which drafts the query from the first rows and reads
them by it, and `guess`, which guesses columns by `names.yaml`; `templates/` has what is
written.
"""
