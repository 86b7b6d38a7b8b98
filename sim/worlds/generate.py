"""A world's catalogue and listeners, drawn from its configuration."""

import numpy as np
from numpy.random import Generator

from looplib.arrays import Float32Array, FloatArray, IntArray
from looplib.randomness import make_generator
from sim.worlds.config import (
    CatalogueConfig,
    ListenersConfig,
    PositiveSpan,
    Span,
    WorldConfig,
)

_DECIMALS = 3  # of bias and sharpness in users.json


def generate_catalogue(
    config: WorldConfig,
) -> tuple[list[dict[str, object]], Float32Array, FloatArray]:
    """Draw genres, the artists in them, and the artists' tracks.

    Returns:
        The lines of `tracks.json`, embeddings (tracks, dimensions), and popularities (tracks,),
            which sum to 1.
    """
    section = config.catalogue
    rng = make_generator(config.seed, "catalogue")
    genre_weights = rng.lognormal(0.0, section.genre_spread, size=section.genres)
    genre = rng.choice(
        section.genres, size=section.artists, p=genre_weights / genre_weights.sum()
    )
    artist = _draw_artists(section, rng)
    embeddings = _place_tracks(section, genre, artist, rng)
    popularity = _draw_popularity(section, embeddings, rng)
    relative_popularity = np.round(popularity * section.tracks, 4).tolist()
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
    section = config.listeners
    rng = make_generator(config.seed, "listeners")
    counts = rng.integers(
        section.interests_low,
        section.interests_high,
        size=section.listeners,
        endpoint=True,
    )
    interests = _draw_interests(section, counts, popularity, rng)
    bias = _draw_span(section.consume_bias, section.listeners, rng).tolist()
    sharpness = _draw_span(section.consume_sharpness, section.listeners, rng).tolist()
    return [
        {
            "user": user,
            "interests": interests[user],
            "consume_bias": bias[user],
            "consume_sharpness": sharpness[user],
            "session_budget": section.session_budget,
        }
        for user in range(section.listeners)
    ]


def _draw_artists(section: CatalogueConfig, rng: Generator) -> IntArray:
    """Draw the artist of each track; every artist has one track at least."""
    weights = rng.exponential(size=section.artists)
    rest = rng.choice(
        section.artists,
        size=section.tracks - section.artists,
        p=weights / weights.sum(),
    )
    return rng.permutation(np.concatenate([np.arange(section.artists), rest]))


def _place_tracks(
    section: CatalogueConfig,
    genre: IntArray,
    artist: IntArray,
    rng: Generator,
) -> Float32Array:
    """Draw embeddings (tracks, dimensions): genre centre + artist's deviation + own deviation."""
    own_share = max(1.0 - section.genre_share - section.artist_share, 0.0)
    genres = _deviations(section.genres, section, section.genre_share, rng)
    artists = _deviations(section.artists, section, section.artist_share, rng)
    own = _deviations(section.tracks, section, own_share, rng)
    embeddings = (genres[genre] + artists)[artist] + own
    spread = section.length_spread
    if spread:
        lengths = rng.lognormal(-(spread**2) / 2, spread, size=(section.artists, 1))
        embeddings *= lengths[artist]
    embeddings[:, 0] += section.common
    return embeddings.astype(np.float32)


def _deviations(
    count: int, section: CatalogueConfig, share: float, rng: Generator
) -> FloatArray:
    """Draw Gaussian vectors (count, dimensions) of this share of a track's squared length."""
    variances = np.arange(1, section.dimensions + 1) ** -section.axis_decay
    scales = np.sqrt(section.squared_length * share * variances / variances.sum())
    deviations: FloatArray = rng.standard_normal((count, section.dimensions)) * scales
    return deviations


def _draw_popularity(
    section: CatalogueConfig, embeddings: Float32Array, rng: Generator
) -> FloatArray:
    """Draw popularities (tracks,), which sum to 1: luck, and lying far out along the first axis."""
    along = embeddings[:, 0].astype(np.float64)
    scale = float(along.std()) or 1.0
    mainstream = section.mainstream * along / scale
    luck = rng.normal(0.0, section.popularity_spread, size=section.tracks)
    logs = mainstream + luck
    weights: FloatArray = np.exp(logs - logs.max())
    popularity: FloatArray = weights / weights.sum()
    return popularity


def _draw_interests(
    section: ListenersConfig,
    counts: IntArray,
    popularity: FloatArray,
    rng: Generator,
) -> list[list[int]]:
    """Draw different tracks for each listener; draws are repeated until they differ."""
    cumulative = np.cumsum(popularity)

    def draw(shape: tuple[int, ...]) -> IntArray:
        uniform = rng.random(shape) * cumulative[-1]
        tracks: IntArray = np.searchsorted(cumulative, uniform, side="right")
        return tracks

    drawn = draw((len(counts), section.interests_high)).tolist()
    interests = [
        list(dict.fromkeys(row[:count]))
        for row, count in zip(drawn, counts.tolist(), strict=True)
    ]
    for own, count in zip(interests, counts.tolist(), strict=True):
        while len(own) < count:
            track = int(draw((1,))[0])
            if track not in own:
                own.append(track)
    return interests


def _draw_span(span: Span, count: int, rng: Generator) -> FloatArray:
    """Draw uniformly from a range, or its logarithm (count,), rounded as in users.json."""
    if isinstance(span, PositiveSpan) and span.log:
        logs = rng.uniform(np.log(span.low), np.log(span.high), size=count)
        drawn: FloatArray = np.exp(logs)
    else:
        drawn = rng.uniform(span.low, span.high, size=count)
    return np.round(drawn, _DECIMALS)
