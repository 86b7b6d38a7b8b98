"""Off-policy estimates: what recommendations that were never served would have been worth.

In: held-out sessions with known propensities, and lists or the probabilities of any policy. Out:
the mean listening time of a recommended track and of a session, with intervals over listeners, or
why there is none.

Read `logged` (sessions), `policies` (what a policy would have done), `estimate` (the formulas),
`share_model` and `session_time` (sessions of its own length), then `__main__`.
"""
