"""V-SKNN: Ludewig and Jannach, "Evaluation of Session-based Recommendation Algorithms", 2018.

Sessions that share tracks with the running one, of which later tracks weigh more, vote for theirs;
the newest of many candidates are compared. Rare tracks get more weight.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Hashable

from service import read_sessions

CANDIDATES, NEIGHBOURS = 1000, 200
LENGTH = 20  # tracks of the running session that count

sessions = [set(tracks) for _, tracks in read_sessions()]
holding: dict[Hashable, list[int]] = defaultdict(list)
for number, held in enumerate(sessions):
    for track in held:
        holding[track].append(number)
rarity = {
    track: math.log(len(sessions) / len(numbers)) for track, numbers in holding.items()
}


def recommend(listener: Hashable, session: list[Hashable], n: int) -> list[Hashable]:
    """Rank the tracks of the nearest sessions."""
    latest = session[-LENGTH:]
    weight = {track: place / len(latest) for place, track in enumerate(latest, 1)}
    shared: Counter[int] = Counter()
    for track, value in weight.items():
        for number in holding.get(track, ())[-CANDIDATES:]:
            shared[number] += value
    scores: Counter[Hashable] = Counter()
    for number, value in shared.most_common(NEIGHBOURS):
        near = value / math.sqrt(len(sessions[number]) * len(weight))
        last = max(weight.get(track, 0) for track in sessions[number])
        for track in sessions[number]:
            scores[track] += near * last * rarity[track]
    return [track for track, _ in scores.most_common(n)]
