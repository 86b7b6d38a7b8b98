"""Titles of tracks, from the catalogue's file of lines {"track", "artist", "title", …}."""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from looplib.files import sha256_file
from recsys.errors import SearchError
from recsys.store.remote import Store


class Title(msgspec.Struct, frozen=True):
    """What a track is called; what the catalogue does not say is empty."""

    track: int | str
    title: str = ""
    artist: str = ""


@dataclass(frozen=True)
class Titles:
    """The titles of a catalogue; a track that it does not have is called by its id."""

    known: dict[str, Title]

    def of(self, track: object) -> Title:
        """What a track is called."""
        return self.known.get(str(track), Title(track=str(track), title=f"track {track}"))


def read_titles(file: Path | None, store: Store) -> Titles:
    """Reads a catalogue; without a file every track is called by its id.

    Raises:
        SearchError: It cannot be read, or it is not the catalogue that the store's track ids refer to.
    """
    if file is None:
        return Titles({})
    try:
        if store.catalogue and (found := sha256_file(file)) != store.catalogue.sha256:
            raise SearchError(
                f"{file}: not the catalogue of {store.workspace}: {store.catalogue}, and this has {found[:12]}"
            )
        lines = file.read_bytes().splitlines()
    except OSError as error:
        raise SearchError(f"{file}: no catalogue to be read here ({error.strerror})") from None
    decoder = msgspec.json.Decoder(Title)
    titles = [_decode(decoder, line, file, number) for number, line in enumerate(lines, start=1) if line.strip()]
    return Titles({str(title.track): title for title in titles})


def _decode(decoder: "msgspec.json.Decoder[Title]", line: bytes, file: Path, number: int) -> Title:
    try:
        return decoder.decode(line)
    except msgspec.DecodeError as error:
        raise SearchError(f'{file}, line {number}: not {{"track": …, "artist": …, "title": …}} ({error})') from None
