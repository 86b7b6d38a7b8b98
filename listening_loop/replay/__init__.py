"""Replay: plays of real listeners, sent through a running service.

In: a file of plays, and a service: recommenders of an export that has not learned from the newest
plays, or anybody's. Out: how well each ranking, at the moment of each play, predicts
the listener's next play: a prediction of plays without our recommendations, not a lift. Read
`plays` (which plays, in which order), `adapter` (how a service is asked), `traffic` (to the service
and back), `score` and `report`; `command` runs them.
"""
