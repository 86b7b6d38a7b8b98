"""`listening-loop init FILE`: from a file of plays to everything that leads to a verdict.

In: a file or folder of plays. Out: the configurations of a search, of a service, of an experiment
with three arms and of its report, and the commands that follow. Read `command` first, then `guess`,
which says what the columns hold by `names.yaml`, and `look`, which reads the first rows as an
ingest does; `templates/` has what is written.
"""
