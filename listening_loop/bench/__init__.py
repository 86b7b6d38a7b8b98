"""Bench: recommenders of anybody, trained and replayed on the same plays, in one table.

In: plays, and entrants, each a YAML file that says how to install, train and start a service. Out:
a row of JSON for each entrant, and a page. An entrant learns from the oldest plays, and answers the
newest over HTTP. Read `entrant` (one entrant from install to row), then `command`.
"""
