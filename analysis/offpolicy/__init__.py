"""Off-policy estimates: what recommendations that were never served would have been worth.

In: held-out sessions with known propensities, and lists or the probabilities of any policy. Out:
the mean listening time of a recommended track, with an interval over listeners, or why there is
none.

Read `logged` (sessions), `recommendations` (what they would have done), `estimate` (the formulas),
then `__main__`.
"""
