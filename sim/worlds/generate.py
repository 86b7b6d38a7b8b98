"""A world's catalogue and listeners, drawn from its configuration."""

from collections.abc import Iterator
from itertools import islice

import numpy as np

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
_ONSETS = (
    "b", "br", "d", "dr", "f", "fl", "g", "gr", "h", "k", "kl", "l", "m", "n", "p", "r", "s", "st", "t", "tr", "v", "z",
)  # fmt: skip
_VOWELS = ("a", "e", "i", "o", "u", "ai", "ea", "ou")
_CODAS = ("", "", "", "l", "m", "n", "r", "s", "x", "nd", "sk")
_SYLLABLES = tuple(
    onset + vowel + coda for onset in _ONSETS for vowel in _VOWELS for coda in _CODAS
)
_NAMES_AT_ONCE = 4096


def generate_catalogue(
    config: WorldConfig,
) -> tuple[list[dict[str, object]], Float32Array, FloatArray]:
    """Draw genres, the artists in them, and the artists' tracks.

    Returns:
        The lines of `tracks.json`, embeddings (tracks, dimensions), and popularities (tracks,),
            which sum to 1.
    """
    section, seed = config.catalogue, config.seed
    rng = make_generator(seed, "catalogue")
    genre_weights = rng.lognormal(0.0, section.genre_spread, size=section.genres)
    genre_of_artist = rng.choice(
        section.genres, size=section.artists, p=genre_weights / genre_weights.sum()
    )
    artist_weights = rng.exponential(size=section.artists)
    rest = rng.choice(
        section.artists,
        size=section.tracks - section.artists,
        p=artist_weights / artist_weights.sum(),
    )
    # of each track; each has one
    artist = rng.permutation(np.concatenate([np.arange(section.artists), rest]))
    embeddings = _place_tracks(section, genre_of_artist, artist, rng)
    popularity = _draw_popularity(section, embeddings, rng)
    text_rng = make_generator(seed, "names")
    artist_names = _invent_names(section.artists, text_rng, most_words=3)
    genre_names = _invent_names(section.genres, text_rng, most_words=1)
    # some come twice, as titles do
    titles = islice(_endless_names(text_rng, most_words=3), section.tracks)
    columns = zip(
        artist.tolist(),
        titles,
        np.round(popularity * section.tracks, 4).tolist(),
        strict=True,
    )
    records: list[dict[str, object]] = [
        {
            "track": track,
            "artist": artist_names[by],
            "title": title,
            "genre": genre_names[genre_of_artist[by]],
            "popularity": relative,
        }
        for track, (by, title, relative) in enumerate(columns)
    ]
    return records, embeddings, popularity


def generate_listeners(
    config: WorldConfig, popularity: FloatArray
) -> list[dict[str, object]]:
    """Draw the lines of `users.json`; listeners' interests are different tracks, popular ones more often."""
    section = config.listeners
    rng = make_generator(config.seed, "listeners")
    counts = rng.integers(
        section.interests_low,
        section.interests_high,
        size=section.listeners,
        endpoint=True,
    )
    interests = _draw_interests(section, counts, popularity, rng)
    bias = draw_span(section.consume_bias, section.listeners, rng)
    sharpness = draw_span(section.consume_sharpness, section.listeners, rng)
    return user_records(
        interests, bias, sharpness, np.full(section.listeners, section.session_budget)
    )


def user_records(
    interests: list[list[int]],
    bias: FloatArray,
    sharpness: FloatArray,
    budget: IntArray,
) -> list[dict[str, object]]:
    """Return the lines of `users.json` for these listeners."""
    columns = zip(
        interests, bias.tolist(), sharpness.tolist(), budget.tolist(), strict=True
    )
    return [
        {
            "user": user,
            "interests": own,
            "consume_bias": b,
            "consume_sharpness": s,
            "session_budget": points,
        }
        for user, (own, b, s, points) in enumerate(columns)
    ]


def _place_tracks(
    section: CatalogueConfig,
    genre_of_artist: IntArray,
    artist: IntArray,
    rng: np.random.Generator,
) -> Float32Array:
    """Draw embeddings (tracks, dimensions): genre centre + artist's deviation + own deviation."""
    own_share = 1.0 - section.genre_share - section.artist_share
    genres = _deviations(section.genres, section, section.genre_share, rng)
    artists = genres[genre_of_artist] + _deviations(
        section.artists, section, section.artist_share, rng
    )
    embeddings = artists[artist] + _deviations(
        section.tracks, section, max(own_share, 0.0), rng
    )
    if spread := section.length_spread:
        embeddings *= rng.lognormal(
            -(spread**2) / 2, spread, size=(section.artists, 1)
        )[artist]
    embeddings[:, 0] += section.common
    return embeddings.astype(np.float32)


def _deviations(
    count: int, section: CatalogueConfig, share: float, rng: np.random.Generator
) -> FloatArray:
    """Draw Gaussian vectors (count, dimensions) whose expected squared length is that share of a track's."""
    variances = np.arange(1, section.dimensions + 1) ** -section.axis_decay
    scales = np.sqrt(section.squared_length * share * variances / variances.sum())
    deviations: FloatArray = rng.standard_normal((count, section.dimensions)) * scales
    return deviations


def _draw_popularity(
    section: CatalogueConfig, embeddings: Float32Array, rng: np.random.Generator
) -> FloatArray:
    """Draw popularities (tracks,), summing to 1: luck, and lying far out along the first axis, the mainstream's."""
    along = embeddings[:, 0].astype(np.float64)
    scale = float(along.std()) or 1.0
    logs = section.mainstream * along / scale + rng.normal(
        0.0, section.popularity_spread, size=section.tracks
    )
    weights: FloatArray = np.exp(logs - logs.max())
    popularity: FloatArray = weights / weights.sum()
    return popularity


def _draw_interests(
    section: ListenersConfig,
    counts: IntArray,
    popularity: FloatArray,
    rng: np.random.Generator,
) -> list[list[int]]:
    """Draw different tracks for each listener; a listener's draws are repeated until they differ."""
    cumulative = np.cumsum(popularity)

    def draw(shape: tuple[int, ...]) -> IntArray:
        tracks: IntArray = np.searchsorted(
            cumulative, rng.random(shape) * cumulative[-1], side="right"
        )
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


def draw_span(span: Span, count: int, rng: np.random.Generator) -> FloatArray:
    """Draw uniformly from a range, or its logarithm (count,), rounded as in users.json."""
    if isinstance(span, PositiveSpan) and span.log:
        drawn: FloatArray = np.exp(
            rng.uniform(np.log(span.low), np.log(span.high), size=count)
        )
        return np.round(drawn, _DECIMALS)
    return np.round(rng.uniform(span.low, span.high, size=count), _DECIMALS)


def _invent_names(count: int, rng: np.random.Generator, most_words: int) -> list[str]:
    """Make up different names of up to so many words."""
    names: dict[str, None] = {}
    for name in _endless_names(rng, most_words):
        if len(names) == count:
            break
        names.setdefault(name)
    return list(names)


def _endless_names(rng: np.random.Generator, most_words: int) -> Iterator[str]:
    while True:
        word_counts = rng.integers(
            1, most_words, size=_NAMES_AT_ONCE, endpoint=True
        ).tolist()
        syllable_counts = rng.integers(
            1, 3, size=(_NAMES_AT_ONCE, most_words), endpoint=True
        ).tolist()
        syllables = rng.integers(
            len(_SYLLABLES), size=(_NAMES_AT_ONCE, most_words, 3)
        ).tolist()
        for used, lengths, rows in zip(
            word_counts, syllable_counts, syllables, strict=True
        ):
            yield " ".join(
                "".join(_SYLLABLES[syllable] for syllable in row[:length]).capitalize()
                for row, length in zip(rows[:used], lengths, strict=False)
            )
