"""The file of a session model: what the export writes and the service reads, k factors.

A session follows an interest, a vector x. The share heard of a track of vector v has the mean
expit(x . v), less by the fatigue of artists and by tiredness; v holds the constant of
`docs/session-model.md` too. Along the axes of the factors, an interest's prior variance is 1, and
responses add information one axis at a time.
"""

from collections.abc import Mapping

FILE_NAME = "session_model.npz"
FORMAT = 3  # by the manifest; the service reads this one alone

# The kind of each array's numbers, f or i, or of its ids, and its axes.
ARRAYS: Mapping[str, str] = {
    "tracks": "track tracks",
    "track_factors": "f tracks factors",
    # an opening is a listener and the organic track of sessions; it leads to an interest
    "listeners": "user openings",
    "organics": "track openings",
    "interest_of": "i openings",
    "interests": "f interests factors",
    "evidence": "i interests",  # the number of responses behind each
    # log odds against a new interest, before its distance to what is expected of that
    "odds": "f interests",
    "information": "f factors",  # precision that a response adds to an interest's of 1
    "new_map": "f factors factors",  # track @ new_map is expected of a new interest
    "new_covariance": "f factors factors",  # about that
    "dispersion": "f",  # variance of a share about its mean m, in units of m (1 - m)
    # factor on the time of a track for each earlier track of its artist, 0..1
    "artist_fatigue": "f",
    # factor on the time of a track for each recommended track before it, 0..1
    "tiredness": "f",
    # chance before each recommended track that the interest is drawn anew
    "interest_change": "f",
}
