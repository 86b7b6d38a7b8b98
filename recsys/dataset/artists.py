"""Number the tracks of a dataset, and their artists."""

from pathlib import Path

import numpy as np

from analysis.logs.field_types import LARGEST_ID
from analysis.store import Store, number_of
from looplib.arrays import Int32Array, IntArray
from recsys.dataset.interactions import UNKNOWN_ARTIST
from recsys.errors import StoreError
from recsys.store.ids import originals, read_titles


def number_tracks(
    store: Store,
    catalogue: Path | None,
    heard: IntArray,
) -> tuple[IntArray, Int32Array]:
    """List the tracks of a dataset with the numbers of their artists.

    They are all of the store's catalogue, whose ids are 0..n-1; or else those heard, and the other
    tracks that a catalogue has of the artists heard.

    Args:
        store: Its titles name the artists where no catalogue does.
        catalogue: A file of titles.
        heard: Ids, ascending, shape (n,); not needed with a catalogue in the store.

    Returns:
        The ids of tracks, ascending, and the artist of each or `UNKNOWN_ARTIST`; shape (tracks,).

    Raises:
        StoreError: The catalogue is of other tracks, or cannot be read.
    """
    titles = read_titles(catalogue, store)
    size = store.manifest.catalogue_size
    tracks = heard if size is None else np.arange(size)
    if catalogue and size is None:
        is_text = store.manifest.text_items
        artist_of = {
            number_of(track) if is_text else int(track): title.artist
            for track, title in titles.items()
            if title.artist and (is_text or track.isdecimal())
        }
        played = {artist_of[track] for track in heard.tolist() if track in artist_of}
        unplayed = [
            track
            for track, artist in artist_of.items()
            if artist in played and track <= LARGEST_ID
        ]
        tracks = np.union1d(heard, np.array(unplayed, np.int64))
    ids = originals(store, "items", tracks, titles).tolist()
    named = sum(str(track) in titles for track in ids)
    if catalogue and 2 * named < len(ids) and size is None:
        raise StoreError(
            f"{catalogue}: names {named:,} of the {len(ids):,} tracks of {store}, so it "
            "belongs to another store; leave it out: --set catalogue=null"
        )
    names = [title.artist if (title := titles.get(str(track))) else "" for track in ids]
    numbers = {name: number for number, name in enumerate(sorted({*names} - {""}))}
    artists = [numbers.get(name, UNKNOWN_ARTIST) for name in names]
    return tracks, np.array(artists, np.int32)
