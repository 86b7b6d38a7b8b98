"""A Markov chain: what followed the track, by this listener first, then by all, then popular."""

from collections import Counter, defaultdict
from collections.abc import Hashable
from itertools import pairwise

from service import read_sessions

OWN = 20.0  # weight of a listener's own transition

after: dict[Hashable, Counter[Hashable]] = defaultdict(Counter)
own: dict[Hashable, Counter[Hashable]] = defaultdict(Counter)
popular: Counter[Hashable] = Counter()
for listener, tracks in read_sessions():
    popular.update(tracks)
    for track, following in pairwise(tracks):
        after[track][following] += 1
        own[listener, track][following] += 1
top = [track for track, _ in popular.most_common(100)]


def recommend(listener: Hashable, session: list[Hashable], n: int) -> list[Hashable]:
    """Rank by the counts of transitions from the last track."""
    last = session[-1]
    scores = Counter(after.get(last, ()))
    for track, count in own.get((listener, last), {}).items():
        scores[track] += OWN * count
    for track, following in pairwise(session):
        if track == last:
            scores[following] += OWN
    ranking = [track for track, _ in scores.most_common(n)]
    return list(dict.fromkeys([*ranking, *top]))[:n]
