"""Bench: train and replay recommenders on the same plays, and compare them in a table.

In: plays, and entrants, each a YAML file with the commands that install, train and start a service.
Out: a row of JSON for each entrant, and a page. An entrant learns from the oldest plays and answers
the newest over HTTP. Read `entrant` (from the installation to the scores), then `command`.
"""
