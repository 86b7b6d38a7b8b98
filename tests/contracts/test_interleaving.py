"""Interleaving, from both sides.

What the service logs of two recommenders is what the report compares.
"""

from pathlib import Path

import numpy as np
import pytest

from analysis.ab import words
from analysis.ab.config import AbConfig, FixedHorizon
from analysis.ab.effects import find_preferences
from analysis.ab.interim import InterimAnalysis
from analysis.ab.moments import INTERLEAVED, MetricMoments
from analysis.ab.report import Report, build_report
from analysis.statistics.moments import Moments
from botify.service import Service, load_configured
from looplib.randomness import make_generator
from recsys.ingest.pipeline import ingest
from tests.botify.client import listening
from tests.botify.exports import (
    experiments_of,
    make_settings,
    publish,
    write_catalogue,
)

LISTENERS, TRACKS = 300, 60
PAIR = "interleaved(in_order, top_pop)"


def serve(folder: Path, liking: float) -> Path:
    """Serve sessions of listeners, who hear `liking` more of the tracks of their own lists.

    Returns:
        The log.
    """
    catalogue = write_catalogue(folder / "tracks.json", range(TRACKS))
    lists = {
        user: [(user * 7 + step) % 40 for step in range(12)]
        for user in range(LISTENERS)
    }
    publish(folder, "one", lists, catalogue=catalogue)
    experiments = experiments_of("in_order", PAIR, name="MIX")
    settings = make_settings(folder, catalogue, experiments=experiments)
    service = Service(settings, load_configured(settings))
    for user in range(LISTENERS):
        generator = make_generator(5, "interleaving", user)
        track, time = int(generator.integers(40, TRACKS)), 1.0
        for _ in range(6):
            ((answer,),) = service.answer("next", [listening(user, track, time)])
            assert isinstance(answer, int)
            track = answer
            time = float(
                np.clip(
                    generator.normal(0.4 + liking * (track in lists[user][:6]), 0.2),
                    0,
                    1,
                )
            )
        service.answer("last", [listening(user, track, time)])
    service.close()
    return settings.log_dir


def preference_of(report: Report) -> tuple[str | None, float]:
    (found,) = report.evidence.preferences
    assert (found.arm, found.first, found.second) == ("T1", "in_order", "top_pop")
    return found.preferred, found.effect.value or 0.0


def test_the_recommender_whose_tracks_are_heard_for_longer_is_preferred(
    tmp_path: Path,
) -> None:
    config = AbConfig(
        min_listeners=20, min_days=1, confirm=False, expected_listeners=150
    )
    log = serve(tmp_path / "liked", 0.3)
    report = build_report([log], "MIX", config)
    preferred, effect_pct = preference_of(report)
    assert preferred == "in_order"
    assert effect_pct < -10
    assert report.evidence.recommenders == {"C": "in_order", "T1": PAIR}
    ingest([log], tmp_path / "store", partitions=2)
    assert (
        build_report([tmp_path / "store"], "MIX", config).evidence.preferences
        == report.evidence.preferences
    )
    assert report.evidence.effect("T1", "fallback_share").arm_value == 0
    # chance prefers one in 1 of 1,000 runs
    strict = config.model_copy(update={"alpha": 0.001})
    unliked = build_report([serve(tmp_path / "unliked", 0.0)], "MIX", strict)
    assert preference_of(unliked)[0] is None
    assert "neither is preferred" in words.preference(unliked.evidence.preferences[0])


def test_an_interval_of_a_preference_holds_equality_as_often_as_it_says() -> None:
    horizon = FixedHorizon(listeners=300, interim_analyses=1)
    at_end = InterimAnalysis(AbConfig(fixed_horizon=horizon), 1.0)
    missed = 0
    for number in range(600):
        generator = make_generator(number, "preference")
        taste = generator.lognormal(0, 0.6, 300)
        counts = generator.poisson(3, (2, 300)).astype(float)
        times = taste * counts * generator.lognormal(0, 0.4, (2, 300))
        columns = {
            "past_denominator": counts[0],
            "denominator": counts[1],
            "past_numerator": times[0],
            "numerator": times[1],
        }
        row = MetricMoments("", "T1", INTERLEAVED, 300, Moments.of(columns))
        (found,) = find_preferences([row], {"T1": "interleaved(a, b)"}, at_end)
        missed += found.preferred is not None
    assert missed / 600 == pytest.approx(0.05, abs=0.02)
