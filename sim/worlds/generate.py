"""Draw a world's catalogue and listeners from its configuration."""

import numpy as np
from numpy.random import Generator

from looplib.arrays import Float32Array, FloatArray, IntArray
from looplib.randomness import make_generator
from sim.worlds.config import FEWEST_INTERESTS, MOST_INTERESTS, WorldConfig

AXIS_DECAY = 0.5  # axis j of the embeddings has a variance proportional to j ** -0.5
GENRE_SPREAD = 0.5  # sigma of the log of a genre's weight
MAINSTREAM = 0.1  # growth of the log of popularity with each sigma along axis 1
POPULARITY_SPREAD = 0.7  # sigma of the rest of the log of a track's popularity
CONSUME_BIAS = (0.0, 10.0)  # uniform
CONSUME_SHARPNESS = (0.5, 2.0)  # log-uniform: the median is 1
SESSION_BUDGET = 5
_DECIMALS = 3  # decimals of bias and sharpness in users.json


def generate_catalogue(
    config: WorldConfig,
) -> tuple[list[dict[str, object]], Float32Array, FloatArray]:
    """Draw genres, the artists in them, and the artists' tracks.

    Returns:
        The lines of `tracks.json`, embeddings (tracks, dimensions), and popularities (tracks,),
            which sum to 1.
    """
    rng = make_generator(config.seed, "catalogue")
    genre_weights = rng.lognormal(0.0, GENRE_SPREAD, size=config.genres)
    genre = rng.choice(
        config.genres, size=config.artists, p=genre_weights / genre_weights.sum()
    )
    weights = rng.exponential(size=config.artists)
    # every artist has a track at least
    more = rng.choice(
        config.artists,
        size=config.tracks - config.artists,
        p=weights / weights.sum(),
    )
    artist = rng.permutation(np.concatenate([np.arange(config.artists), more]))
    embeddings = _draw_embeddings(config, genre, artist, rng)
    popularity = _draw_popularity(config, embeddings, rng)
    relative_popularity = np.round(popularity * config.tracks, 4).tolist()
    records: list[dict[str, object]] = [
        {
            "track": track,
            "artist": f"Artist {number}",
            "title": f"Track {track}",
            "genre": f"Genre {genre[number]}",
            "popularity": relative_popularity[track],
        }
        for track, number in enumerate(artist.tolist())
    ]
    return records, embeddings, popularity


def generate_listeners(
    config: WorldConfig, popularity: FloatArray
) -> list[dict[str, object]]:
    """Draw the lines of `users.json`; popular tracks are interests more often."""
    rng = make_generator(config.seed, "listeners")
    interests = _draw_interests(config.listeners, popularity, rng)
    biases = rng.uniform(*CONSUME_BIAS, size=config.listeners)
    log_low, log_high = np.log(CONSUME_SHARPNESS)
    log_sharpnesses = rng.uniform(log_low, log_high, size=config.listeners)
    consume_bias = np.round(biases, _DECIMALS).tolist()
    consume_sharpness = np.round(np.exp(log_sharpnesses), _DECIMALS).tolist()
    return [
        {
            "user": user,
            "interests": interests[user],
            "consume_bias": consume_bias[user],
            "consume_sharpness": consume_sharpness[user],
            "session_budget": SESSION_BUDGET,
        }
        for user in range(config.listeners)
    ]


def _draw_embeddings(
    config: WorldConfig,
    genre: IntArray,
    artist: IntArray,
    rng: Generator,
) -> Float32Array:
    """Draw embeddings (tracks, dimensions), each a sum of Gaussian deviations."""
    nature = config.nature
    variances = np.arange(1, config.dimensions + 1) ** -AXIS_DECAY
    track_share = max(1.0 - nature.genre_share - nature.artist_share, 0.0)

    def deviations(count: int, share: float) -> FloatArray:
        scales = np.sqrt(nature.squared_length * share * variances / variances.sum())
        drawn: FloatArray = rng.standard_normal((count, config.dimensions)) * scales
        return drawn

    genres = deviations(config.genres, nature.genre_share)
    artists = deviations(config.artists, nature.artist_share)
    tracks = deviations(config.tracks, track_share)
    embeddings = (genres[genre] + artists)[artist] + tracks
    spread = nature.length_spread
    lengths = rng.lognormal(-(spread**2) / 2, spread, size=(config.artists, 1))
    embeddings *= lengths[artist]
    embeddings[:, 0] += nature.common
    return embeddings.astype(np.float32)


def _draw_popularity(
    config: WorldConfig, embeddings: Float32Array, rng: Generator
) -> FloatArray:
    """Draw popularities (tracks,), which sum to 1: luck, and lying far out along the first axis."""
    along = embeddings[:, 0].astype(np.float64)
    scale = float(along.std()) or 1.0
    luck = rng.normal(0.0, POPULARITY_SPREAD, size=config.tracks)
    logs = MAINSTREAM * along / scale + luck
    weights: FloatArray = np.exp(logs - logs.max())
    popularity: FloatArray = weights / weights.sum()
    return popularity


def _draw_interests(
    listeners: int, popularity: FloatArray, rng: Generator
) -> list[list[int]]:
    """Draw different tracks for each listener; draws are repeated until they differ."""
    counts = rng.integers(
        FEWEST_INTERESTS, MOST_INTERESTS, size=listeners, endpoint=True
    )
    cumulative = np.cumsum(popularity)

    def draw(size: int | tuple[int, int]) -> IntArray:
        uniform = rng.random(size) * cumulative[-1]
        tracks: IntArray = np.searchsorted(cumulative, uniform, side="right")
        return tracks

    drawn = draw((listeners, MOST_INTERESTS)).tolist()
    interests = []
    for tracks, count in zip(drawn, counts.tolist(), strict=True):
        distinct = dict.fromkeys(tracks[:count])
        while len(distinct) < count:
            distinct[int(draw(1)[0])] = None
        interests.append(list(distinct))
    return interests
