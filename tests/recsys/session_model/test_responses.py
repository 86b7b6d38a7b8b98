from collections import Counter
from pathlib import Path

import numpy as np
import orjson
import pytest

from looplib.files import sha256_file
from recsys.config import Split
from recsys.dataset.split import SplitRule
from recsys.errors import ExportError, StoreError
from recsys.ingest.pipeline import ingest
from recsys.session_model.responses import Responses, load_responses
from recsys.store.remote import open_store
from tests.recsys.logs import Session, make_store, random_sessions, write_log

TRACKS = 30
RULE = SplitRule(Split(holdout=0.3), seed=1)
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


def store_of(folder: Path, catalogue: Path) -> Path:
    log = write_log(folder / "log" / "events.jsonl", SESSIONS)
    facts = {
        "schema": 1,
        "catalogue": {"sha256": sha256_file(catalogue), "tracks": TRACKS},
    }
    (log.parent / "collection.json").write_bytes(orjson.dumps(facts))
    ingest([log], folder / "store", buckets=4)
    return folder / "store"


def expected(
    sessions: list[Session], artists: bool
) -> Counter[tuple[int, int, int, float, int, int]]:
    """Count responses: listener, organic, track, time, earlier of its artist, and in all."""
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
                        position - 1,
                    )
                ] += 1
    return found


def listed(responses: Responses) -> Counter[tuple[int, int, int, float, int, int]]:
    opening = responses.opening
    columns = zip(
        responses.users[responses.listener[opening]].tolist(),
        responses.tracks[responses.organic[opening]].tolist(),
        responses.tracks[responses.track].tolist(),
        np.round(responses.time.astype(float), 2).tolist(),
        responses.earlier.tolist(),
        responses.before.tolist(),
        strict=True,
    )
    return Counter(columns)


def test_every_first_hearing_of_a_recommended_track_is_a_response(
    tmp_path: Path,
) -> None:
    catalogue = write_catalogue(tmp_path)
    responses = load_responses(
        open_store(store_of(tmp_path, catalogue)), catalogue, RULE
    )
    assert listed(responses) == expected(SESSIONS, artists=True)
    assert responses.earlier.max() > 0
    assert len(responses.tracks) == TRACKS


def test_without_a_catalogue_no_artist_is_known(tmp_path: Path) -> None:
    responses = load_responses(open_store(make_store(tmp_path, SESSIONS)), None, RULE)
    assert listed(responses) == expected(SESSIONS, artists=False)


def test_openings_are_distinct_and_those_of_a_listener_side_by_side(
    tmp_path: Path,
) -> None:
    responses = load_responses(open_store(make_store(tmp_path, SESSIONS)), None, RULE)
    openings = list(
        zip(responses.listener.tolist(), responses.organic.tolist(), strict=True)
    )
    assert len(set(openings)) == len(openings)
    assert responses.listener.tolist() == sorted(responses.listener.tolist())
    assert sorted(responses.users.tolist()) == sorted(
        {session.user for session in SESSIONS}
    )
    assert np.unique(responses.opening).tolist() == list(range(len(openings)))
    assert (np.diff(responses.opening) >= 0).all()


def test_sessions_are_held_out_whole_and_teach_no_opening(tmp_path: Path) -> None:
    responses = load_responses(open_store(make_store(tmp_path, SESSIONS)), None, RULE)
    known = responses.training()
    assert 0.15 < responses.is_held_out.mean() < 0.45
    assert len(known) == np.count_nonzero(~responses.is_held_out)
    assert listed(known) < listed(responses)
    assert np.unique(known.opening).tolist() == list(range(len(known.organic)))
    is_first = responses.before == 0
    sessions = np.cumsum(is_first)  # a repeat of the opening track may hide a start
    mixed = [
        len(set(responses.is_held_out[sessions == session].tolist())) > 1
        for session in range(1, sessions[-1] + 1)
    ]
    assert np.mean(mixed) < 0.1


def test_another_catalogue_is_refused(tmp_path: Path) -> None:
    catalogue = write_catalogue(tmp_path)
    store = open_store(store_of(tmp_path, catalogue))
    other = write_catalogue(tmp_path / "other")
    other.write_bytes(other.read_bytes() + b"\n")
    with pytest.raises(
        StoreError, match=r"other/tracks\.json: not the catalogue of .*: 30 tracks"
    ):
        load_responses(store, other, RULE)
    with pytest.raises(
        StoreError, match=r"missing\.json: no catalogue to be read here"
    ):
        load_responses(store, tmp_path / "missing.json", RULE)


def test_a_log_of_organic_tracks_alone_teaches_nothing(tmp_path: Path) -> None:
    store = make_store(tmp_path, [Session(1, 10**12, [(3, 1.0)], "s")])
    with pytest.raises(ExportError, match="no recommended track was heard"):
        load_responses(open_store(store), None, RULE)
