from pathlib import Path

from botify.model.factors import FACTORS
from botify.service import load_configured
from botify.settings import ServiceSettings
from tests.botify.exports import make_settings


def test_only_what_a_recommender_asks_for_is_loaded(
    tmp_path: Path, settings: ServiceSettings
) -> None:
    bare = make_settings(tmp_path, settings.catalogue, fallback={"unknown": []})
    assert load_configured(bare).get(FACTORS) is None
    assert load_configured(settings).get(FACTORS) is not None
