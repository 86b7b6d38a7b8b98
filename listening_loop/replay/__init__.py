"""Replay: plays of real listeners, sent through the real service, one recommender after the other.

In: a file of plays, and an export that has not learned from the newest of them. Out: how well each
recommender's ranking, at the moment of each play, predicts what the listener played next: a
prediction of what people played without us, not a lift. Read `plays` (which plays, in what order),
`traffic` (to the service and back), `score` and `report`; `command` runs them. They meet in the
files of a replay's folder.
"""
