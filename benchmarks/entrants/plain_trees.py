"""LightGBM on twelve plain features of tracks and artists, as a reader would try first."""

import os
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from itertools import chain
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
from service import read_histories

MEMORY, WINDOW, POOL = (
    300,
    5,
    100,
)  # plays of a listener, plays that are near, tracks of a pool
EXAMPLES = 12  # plays of each listener to learn from, of the newest fifth

table = pd.read_csv(os.environ["PLAYS"])
artist_of = dict(zip(table["track"], table["artist"], strict=True))
histories = read_histories()
plays: Counter[Hashable] = Counter()
artist_plays: Counter[Hashable] = Counter()
near: dict[Hashable, Counter[Hashable]] = defaultdict(Counter)
tracks_of: dict[Hashable, list[Hashable]] = defaultdict(list)


def count(played: dict[Hashable, list[Hashable]]) -> None:
    """Count plays, and tracks that are played at most `WINDOW` plays later, by all."""
    for counts in (plays, artist_plays, near, tracks_of):
        counts.clear()
    for tracks in played.values():
        plays.update(tracks)
        artist_plays.update(artist_of[track] for track in tracks)
        for distance in range(1, WINDOW + 1):
            for track, later in zip(tracks, tracks[distance:], strict=False):
                near[track][later] += 1 / distance
    for track, _ in plays.most_common():
        tracks_of[artist_of[track]].append(track)


def fade(keys: Sequence[Hashable]) -> dict[Hashable, list[float]]:
    """Return plays, plays since the last, and fading plays of each key, the newest first."""
    found: dict[Hashable, list[float]] = {}
    for ago, key in enumerate(keys, 1):
        row = found.setdefault(key, [0, ago, 0])
        row[0] += 1
        row[2] += ago**-0.5
    return found


def describe(history: list[Hashable]) -> tuple[list[Hashable], np.ndarray]:
    """List candidates for the next play, and their features, shape (candidates, 12)."""
    newest = history[: -MEMORY - 1 : -1]
    artists = [artist_of.get(track) for track in newest]
    own, by_artist = fade(newest), fade(artists)
    close = Counter[Hashable]()
    for ago, track in enumerate(newest[:WINDOW], 1):
        for other, weight in near[track].items() if track in near else ():
            close[other] += weight / ago
    follows = near[newest[0]] if newest[0] in near else Counter()
    often = sorted(own, key=lambda track: -own[track][2])
    pools = [
        often[:POOL],
        *([key for key, _ in c.most_common(POOL)] for c in (close, follows)),
    ]
    pools += [
        tracks_of.get(artist, ())[:20] for artist in dict.fromkeys(artists[:WINDOW])
    ]
    found = [track for track in dict.fromkeys(chain(*pools)) if track != newest[0]]
    never = [0, 2 * MEMORY, 0]
    rows = [
        [
            *(*own.get(track, never), *by_artist.get(artist, never)),
            *(artist == artists[0], plays[track], artist_plays[artist]),
            *(close[track], follows[track], len(history)),
        ]
        for track, artist in ((track, artist_of.get(track)) for track in found)
    ]
    return found, np.array(rows, float)


older = {
    listener: tracks[: len(tracks) * 4 // 5] for listener, tracks in histories.items()
}
count(older)
generator, examples = np.random.default_rng(7), []
for listener, tracks in histories.items():
    start = len(older[listener])
    for place in generator.integers(start, len(tracks), EXAMPLES) if start else ():
        found, rows = describe(tracks[:place])
        if tracks[place] in found:
            examples.append((rows, [track == tracks[place] for track in found]))
rows, is_next = (np.concatenate(part) for part in zip(*examples, strict=True))
options: dict[str, Any] = {
    "min_child_samples": 100,
    "lambdarank_truncation_level": 30,
    "verbose": -1,
}
ranker = lightgbm.LGBMRanker(n_estimators=300, learning_rate=0.05, n_jobs=2, **options)
ranker.fit(rows, is_next, group=[len(part) for _, part in examples])
count(histories)


def recommend(listener: Hashable, session: list[Hashable], n: int) -> list[Hashable]:
    """Rank the candidates by the trees."""
    histories[listener].append(session[-1])
    found, rows = describe(histories[listener])
    scores: Any = ranker.booster_.predict(rows, num_threads=1) if found else np.zeros(0)
    return [found[place] for place in np.argsort(-scores, kind="stable")[:n]]
