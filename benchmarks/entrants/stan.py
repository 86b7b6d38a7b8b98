"""STAN: Garg, Gupta, Malhotra, Vig and Shroff, SIGIR 2019.

Three decays: of tracks in the running session by their place, of sessions by their age, and of a
neighbour's tracks by their distance from the track that both share.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Hashable

from service import read_sessions

CANDIDATES, NEIGHBOURS = 1000, 200
LENGTH = 20  # tracks of the running session that count
BY_PLACE = 5.0  # plays since a track of the session in which its weight falls to 1/e
BY_DISTANCE = 5.0  # plays between a neighbour's track and the shared track, likewise
BY_AGE = 100.0  # newer sessions of the neighbour's listener, likewise

sessions: list[list[Hashable]] = []
ages: list[float] = []  # number of the session among its listener's
totals: Counter[Hashable] = Counter()
holding: dict[Hashable, list[int]] = defaultdict(list)
for listener, tracks in read_sessions():
    for track in set(tracks):
        holding[track].append(len(sessions))
    ages.append(totals[listener])
    totals[listener] += 1
    sessions.append(tracks)
longest = max(totals.values())


def recommend(listener: Hashable, session: list[Hashable], n: int) -> list[Hashable]:
    """Rank the tracks of the nearest sessions."""
    latest = session[-LENGTH:]
    weight = {
        track: math.exp((place - len(latest)) / BY_PLACE)
        for place, track in enumerate(latest, 1)
    }
    shared: Counter[int] = Counter()
    for track, value in weight.items():
        for number in holding.get(track, ())[-CANDIDATES:]:
            shared[number] += value / math.sqrt(len(sessions[number]) * len(weight))
    for number in shared:
        shared[number] *= math.exp((ages[number] - longest) / BY_AGE)
    scores: Counter[Hashable] = Counter()
    for number, value in shared.most_common(NEIGHBOURS):
        tracks = sessions[number]
        places = [place for place, track in enumerate(tracks) if track in weight]
        last = max(places, key=lambda place: weight[tracks[place]])
        for place, track in enumerate(tracks):
            scores[track] += value * math.exp(-abs(place - last) / BY_DISTANCE)
    return [track for track, _ in scores.most_common(n)]
