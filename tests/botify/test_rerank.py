"""Lists of several tracks are re-ranked as the service's settings say; the next track stays."""

from pathlib import Path

import numpy as np

from botify.service import Service
from looplib.als import AlsConfig
from looplib.rerank import Rerank, rerank
from tests.botify.client import client_of, post
from tests.botify.conftest import MakeService, start_service
from tests.botify.exports import edit_manifest, publish

LIST = [1, 2, 3, 30, 31, 4, 20]  # artists 0, 0, 0, 6, 6, 0, 4


def start(root: Path, make_service: MakeService, **options: object) -> Service:
    make_service().close()
    catalogue = root / "tracks.json"
    folder = publish(root, "two", {7: LIST, 8: [0, 5, 30]}, catalogue=catalogue)
    edit_manifest(folder, parameters=AlsConfig().model_dump())
    arm = {"recommender": "in_order"}
    return start_service(root, catalogue, rerank=options, **arm)


def test_an_artist_has_few_tracks_on_lists(
    tmp_path: Path, make_service: MakeService
) -> None:
    client = client_of(start(tmp_path, make_service, most_per={"artist": 1}))
    answer = client.get("/recommend/7?n=4").get_json()
    assert answer["tracks"] == [1, 30, 20, 5]  # the last from a popular list
    ranked = post(client, "/rank", {"user": 7, "candidates": [2, 20, 1]})
    assert ranked["tracks"] == [1, 2, 20]
    heard = {"track": 12, "time": 1}
    assert post(client, "/next/7", {**heard, "n": 3})["tracks"] == [1, 30, 20]
    assert post(client, "/next/7", {**heard, "n": 1})["tracks"] == [1]


def test_tracks_are_distant_by_the_factors_of_the_version(
    tmp_path: Path, make_service: MakeService
) -> None:
    service = start(tmp_path, make_service, diversity=0.8)
    with np.load(tmp_path / "versions/two/factors.npz") as arrays:
        items = arrays["item_factors"]
    groups = {"artist": service.versions.model.catalogue.artist[np.newaxis]}
    popular = [track for track in service.versions.model.popular if track not in LIST]
    lists = np.array([[*LIST, *popular]])
    expected = rerank(lists, 5, Rerank(diversity=0.8), groups, items)
    answer = client_of(service).get("/recommend/7?n=5").get_json()
    assert answer["tracks"] == expected[0].tolist()
    assert answer["tracks"] != LIST[:5]
