from collections import Counter
from pathlib import Path

import numpy as np
import orjson
import pytest

from looplib.files import sha256_file
from recsys.config import SearchConfig, Split
from recsys.dataset.dataset import Dataset
from recsys.dataset.plan import plan_dataset
from recsys.errors import ExportError
from recsys.ingest.pipeline import ingest
from recsys.session_model.responses import Responses, load_responses
from recsys.store.remote import open_store
from tests.recsys.logs import Session, make_store, random_sessions, write_log
from tests.recsys.opened import dataset_of

TRACKS = 30
SESSIONS = random_sessions(8, listeners=12, tracks=TRACKS, sessions=150)


def write_catalogue(folder: Path) -> Path:
    """Tracks of seven artists."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        {"track": track, "artist": f"artist {track % 7}", "title": "x"}
        for track in range(TRACKS)
    ]
    (folder / "tracks.json").write_bytes(
        b"".join(orjson.dumps(line) + b"\n" for line in lines)
    )
    return folder / "tracks.json"


def read(folder: Path, *, artists: bool = True) -> tuple[Responses, Dataset]:
    """Read the responses of a log, and the dataset that numbers them."""
    catalogue = write_catalogue(folder)
    log = write_log(folder / "log" / "events.jsonl", SESSIONS)
    facts = {"sha256": sha256_file(catalogue), "tracks": TRACKS}
    content = orjson.dumps({"schema": 1, "catalogue": facts})
    (log.parent / "collection.json").write_bytes(content)
    ingest([log], folder / "store", partitions=4)
    return read_store(folder, catalogue if artists else None)


def read_store(
    folder: Path, catalogue: Path | None = None
) -> tuple[Responses, Dataset]:
    config = SearchConfig(
        seed=1,
        store=str(folder / "store"),
        run=str(folder / "run"),
        catalogue=catalogue,
        split=Split(holdout=0.3),
    )
    dataset, store = dataset_of(config), open_store(config.store)
    rule = plan_dataset(store, config).rule
    return load_responses(store, dataset, rule), dataset


def expected(
    sessions: list[Session], artists: bool
) -> Counter[tuple[int, int, int, float, int, int]]:
    """Count responses: listener, organic, track, time, earlier of its artist, and place."""
    found: Counter[tuple[int, int, int, float, int, int]] = Counter()
    for session in sessions:
        heard = [track for track, _ in session.heard]
        for position, (track, time) in enumerate(session.heard):
            before = heard[:position]
            if position and track not in before:
                earlier = (
                    sum(other % 7 == track % 7 for other in before) if artists else 0
                )
                found[
                    (
                        session.user,
                        heard[0],
                        track,
                        round(time, 2),
                        earlier,
                        len(set(heard[1:position]) - {heard[0]}),
                    )
                ] += 1
    return found


def listed(
    responses: Responses, dataset: Dataset
) -> Counter[tuple[int, int, int, float, int, int]]:
    opening = responses.opening
    columns = zip(
        dataset.users[responses.listener[opening]].tolist(),
        dataset.tracks[responses.organic[opening]].tolist(),
        dataset.tracks[responses.track].tolist(),
        np.round(responses.time.astype(float), 2).tolist(),
        responses.earlier.tolist(),
        responses.place.tolist(),
        strict=True,
    )
    return Counter(columns)


@pytest.mark.parametrize("artists", [True, False])
def test_every_first_hearing_of_a_recommended_track_is_a_response(
    tmp_path: Path, artists: bool
) -> None:
    responses, dataset = read(tmp_path, artists=artists)
    assert listed(responses, dataset) == expected(SESSIONS, artists=artists)
    assert bool(responses.earlier.max() > 0) == artists
    is_same = responses.artist[:, None] == responses.artist
    tracks = np.arange(TRACKS)
    of_artist = tracks[:, None] % 7 == tracks % 7
    assert (is_same == (of_artist if artists else np.eye(TRACKS, dtype=bool))).all()


def test_openings_are_distinct_and_those_of_a_listener_side_by_side(
    tmp_path: Path,
) -> None:
    responses, _ = read(tmp_path)
    openings = list(
        zip(responses.listener.tolist(), responses.organic.tolist(), strict=True)
    )
    assert len(set(openings)) == len(openings)
    is_next = np.diff(responses.listener, prepend=-1) != 0
    assert np.count_nonzero(is_next) == len({session.user for session in SESSIONS})
    assert np.unique(responses.opening).tolist() == list(range(len(openings)))
    assert (np.diff(responses.opening) >= 0).all()


def test_sessions_are_held_out_whole_and_teach_no_opening(tmp_path: Path) -> None:
    responses, dataset = read(tmp_path)
    known = responses.training()
    assert 0.15 < responses.is_held_out.mean() < 0.45
    assert len(known) == np.count_nonzero(~responses.is_held_out)
    assert listed(known, dataset) < listed(responses, dataset)
    assert np.unique(known.opening).tolist() == list(range(len(known.organic)))


def test_a_log_of_organic_tracks_alone_teaches_nothing(tmp_path: Path) -> None:
    sessions = [
        Session(user, 10**12, [(3, 1.0)], f"{user}-{n}")
        for user in (1, 2)
        for n in range(9)
    ]
    make_store(tmp_path, sessions)
    with pytest.raises(ExportError, match="no recommended track was heard"):
        read_store(tmp_path)
