from pathlib import Path

import orjson
import pytest

from botify.collection import describe_log
from botify.errors import StartError
from botify.model.catalogue import load_catalogue
from looplib.files import sha256_file
from tests.botify.exports import write_catalogue


def test_the_catalogue_is_described_once(tmp_path: Path) -> None:
    file = write_catalogue(tmp_path / "tracks.json", [0, 1, 2])
    for _ in range(2):
        describe_log(tmp_path, load_catalogue(file))
    found = orjson.loads((tmp_path / "collection.json").read_bytes())
    assert found == {"schema": 1, "catalogue": {"sha256": sha256_file(file), "tracks": 3}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"catalogue": {"sha256": "0", "tracks": 7}}', "is of another catalogue, {'sha256': '0', 'tracks': 7}"),
        ("{}", "is of another catalogue, None"),
        ("[]", "is of another catalogue, None"),
        ('{"catalogue": ', "collection.json: not JSON"),
    ],
)
def test_a_log_of_another_catalogue_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "collection.json").write_text(text)
    with pytest.raises(StartError) as caught:
        describe_log(tmp_path, load_catalogue(write_catalogue(tmp_path / "tracks.json", [0, 1, 2])))
    assert message in str(caught.value)
