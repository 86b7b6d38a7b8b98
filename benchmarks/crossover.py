"""An experiment in which every listener gets every model: over HTTP, by the service, in as many rounds as arms.

The listeners are parted into groups by the service's own hash. In each round a group is another arm of the experiment,
and after the last round every group has been every arm. So models are compared on the same listeners, and differences
between listeners, which are larger than those between models, take no part in it. A round is a published version, whose
list of a listener is that of the listener's arm, a service, and traffic: in every round the same sessions, with the
same organic tracks, as what a listener does follows from the seed and the number of the session alone.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from analysis import queries
from analysis.ab.tables import load
from botify.experiments import Arm, Experiment
from looplib.arrays import FloatArray, IntArray
from looplib.files import atomic_write
from recsys.loop.processes import Step, run_step
from recsys.loop.service import free_port, service_step, serving
from tests.botify.exports import publish

EXPERIMENT = "PREDICTIONS"
CONTROL = "random"

Lists = Mapping[str, npt.NDArray[np.integer]]


@dataclass(frozen=True)
class Traffic:
    """How much listening a round has.

    Attributes:
        sessions: Of all listeners.
        batch: Of them in one request.
        seed: Of all rounds.
        rounds: How many are played; None: as many as arms. With fewer, a listener gets so many of the models.
    """

    sessions: int
    batch: int = 500
    seed: int = 31337
    rounds: int | None = None


@dataclass(frozen=True)
class Heard:
    """What the listeners heard in each arm; arrays of shape (listeners, arms).

    Attributes:
        arms: Names, the control first.
        sessions: How many sessions.
        tracks: Tracks of these, the organic ones too.
        time: Listening time of these, likewise.
    """

    arms: tuple[str, ...]
    sessions: FloatArray
    tracks: FloatArray
    time: FloatArray

    @property
    def mean_time(self) -> FloatArray:
        """Mean listening time of a session; 0 without sessions."""
        return np.divide(self.time, self.sessions, out=np.zeros_like(self.time), where=self.sessions > 0)


def cross_over(world: Path, users: IntArray, lists: Lists, traffic: Traffic, kept: Path) -> Heard:
    """Plays the rounds that have not been played.

    Args:
        world: The world's folder.
        users: The listener of each list, shape (listeners,); all of the world's.
        lists: Tracks by model, best first, -1 at the end of short ones; each of shape (listeners, length).
        traffic: How much.
        kept: Folder of what was heard in the rounds played.
    """
    arms = (CONTROL, *lists)
    heard = Heard(arms, *(np.zeros((len(users), len(arms))) for _ in range(3)))
    for number in range(traffic.rounds or len(arms)):
        rotated = (*arms[number:], *arms[:number])
        file = kept / f"round-{number:02d}.parquet"
        if not file.exists():
            with tempfile.TemporaryDirectory(prefix="crossover-") as name, atomic_write(file) as target:
                pq.write_table(_play_round(Path(name), world, users, lists, rotated, traffic, number), target)
        _add(heard, users, pq.read_table(file))
    return heard


def _play_round(
    folder: Path,
    world: Path,
    users: IntArray,
    lists: Lists,
    arms: Sequence[str],
    traffic: Traffic,
    number: int,
) -> pa.Table:
    """A row for each listener and arm, as `ab/course_listeners` has it."""
    experiment = Experiment(EXPERIMENT, tuple(Arm(arm, 1.0, _recommender(arm)) for arm in arms))
    own = {
        user: _list(lists[arm if arm in lists else next(iter(lists))][row])
        for row, (user, arm) in enumerate(zip(users.tolist(), experiment.assign_all(users.tolist()), strict=True))
    }
    publish(folder / "published", f"round-{number}", own, catalogue=world / "tracks.json", neighbours={0: [1]})
    config = folder / "botify.yaml"
    config.write_text(
        yaml.safe_dump(settings_of(EXPERIMENT, {arm: _recommender(arm) for arm in arms}), sort_keys=False)
    )
    play(config, world, folder / "published", folder / "log", traffic, number)
    with load([folder / "log"], EXPERIMENT, course_only=True) as loaded:
        queries.alias(loaded.connection, "assigned", loaded.slices[0])
        return queries.fetch_table(loaded.connection, "ab/course_listeners")


def play(config: Path, world: Path, published: Path, log: Path, traffic: Traffic, number: int = 0) -> None:
    """Serves what is published to the world's listeners, until they have had their sessions."""
    port = free_port()
    service = service_step(config, world / "tracks.json", published, log, port)
    arguments: list[str | Path] = ["--world", world, "--recommender", "remote", "--url", f"http://127.0.0.1:{port}"]
    arguments += ["--episodes", str(traffic.sessions), "--batch", str(traffic.batch)]
    arguments += ["--set", "timeout_s=120", "--seed", str(traffic.seed)]
    with serving(service, port):
        run_step(Step(f"Listeners, round {number + 1}", "sim.run", arguments))


def settings_of(experiment: str, arms: Mapping[str, str]) -> dict[str, object]:
    """The service's settings for an experiment of arm → recommender; paths are given by the environment."""
    named = [{"name": arm, "recommender": recommender} for arm, recommender in arms.items()]
    return {
        "catalog": "-",
        "recommendations": "-",
        "log_dir": "-",
        "experiments": [{"name": experiment, "arms": named}],
        "decides": experiment,
        "event_log": {"fsync": "never"},
    }


def _recommender(arm: str) -> str:
    return "random" if arm == CONTROL else "indexed"


def _list(tracks: npt.NDArray[np.integer]) -> list[int]:
    return [int(track) for track in tracks.tolist() if track >= 0]


def _add(heard: Heard, users: IntArray, rows: pa.Table) -> None:
    """Adds a round's rows in place."""
    place = {arm: column for column, arm in enumerate(heard.arms)}
    at = np.searchsorted(users, rows["user"].to_numpy()), np.array([place[arm] for arm in rows["arm"].to_pylist()])
    heard.sessions[at] += rows["sessions"].to_numpy()
    heard.tracks[at] += rows["tracks"].to_numpy()
    heard.time[at] += rows["time"].to_numpy()
