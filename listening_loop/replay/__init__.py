"""Replay: plays of real listeners, sent through the real service, recommender by recommender.

In: a file of plays, and an export that has not learned from the newest plays. Out: how well each
recommender's ranking, at the moment of each play, predicts the listener's next play: a prediction
of plays without our recommendations, not a lift. Read `plays` (which plays, in which order),
`traffic` (to the service and back), `score` and `report`; `command` runs them. The steps meet in
the files of a replay's folder.
"""
