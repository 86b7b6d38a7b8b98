"""Titles of tracks, from the catalogue's file of lines {"track", "artist", "title", …}."""

from pathlib import Path

import msgspec

from looplib.files import sha256_file
from recsys.errors import SearchError
from recsys.store.remote import Store


class Title(msgspec.Struct, frozen=True):
    """Title and artist of a track; what the catalogue does not say is empty."""

    track: int | str
    title: str = ""
    artist: str = ""


def read_titles(file: Path | None, store: Store) -> dict[str, Title]:
    """Read the titles of a catalogue by track id, as text; there are none without a file.

    Raises:
        SearchError: It cannot be read, or it is not the catalogue that the store's track ids refer to.
    """
    if file is None:
        return {}
    catalogue = store.manifest.catalogue
    try:
        if catalogue and (found := sha256_file(file)) != catalogue.sha256:
            raise SearchError(f"{file}: not the catalogue of {store.workspace}: {catalogue}, and this has {found[:12]}")
        lines = file.read_bytes().splitlines()
    except OSError as error:
        raise SearchError(f"{file}: no catalogue to be read here ({error.strerror})") from None
    decoder = msgspec.json.Decoder(Title)
    titles = {}
    for number, line in enumerate(lines, start=1):
        try:
            if line.strip():
                title = decoder.decode(line)
                titles[str(title.track)] = title
        except msgspec.DecodeError as error:
            wanted = '{"track": …, "artist": …, "title": …}'
            raise SearchError(f"{file}, line {number}: not {wanted} ({error})") from None
    return titles
