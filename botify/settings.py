"""Settings of the service: a YAML file, and a `BOTIFY_…` environment variable for each key."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    NonNegativeInt,
    PositiveInt,
    SecretStr,
    model_validator,
)

from botify.event_log import Fsync
from botify.model.catalogue import Id
from botify.model.factors import FACTORS
from botify.model.model import SIMILAR, Artifact, ServedModel
from botify.model.plays import PLAYS
from botify.recommenders.registry import (
    FallbackSettings,
    check_name,
    find_recommenders,
    missing_artifacts,
)
from looplib.arrays import NO_TRACK
from looplib.config import Config, load_config, parse_yaml
from looplib.experiments import Arm, Experiment, arm_name, read_experiment
from looplib.rerank import Rerank

ENVIRONMENT_PREFIX = "BOTIFY_"
FILE_VARIABLE = "BOTIFY_CONFIG"  # names a file for `botify.create_app()`
# These variables are text, so that a token of digits stays a text; all others are YAML.
_TEXT_KEYS = {
    "catalogue",
    "recommendations",
    "log_dir",
    "redis_url",
    "admin_token",
    "host",
}


def _read_file(row: Any) -> Any:  # noqa: ANN401  any YAML
    """Read the file of an experiment that is given by its path."""
    return read_experiment(row) if isinstance(row, str) else row


def _check_recommenders(experiment: Experiment) -> Experiment:
    for arm in experiment.arms:
        check_name(arm.recommender)
    return experiment


_ONE_ARM = Experiment(
    name="RECOMMENDERS", arms=(Arm(name=arm_name(0), recommender="in_order"),)
)


class ServiceSettings(Config):
    """The service's configuration."""

    catalogue: Path  # tracks.json of the catalogue
    # Its manifest and factors lie beside it; without it, the catalogue alone is served from
    recommendations: Path | None = None
    # ids of listeners; by default as in the recommendations, else as of the tracks
    text_users: bool | None = None
    log_dir: Path  # folder of the event log
    # sessions in Redis; by default they are in the process
    redis_url: SecretStr | None = None
    # prefix of the keys in Redis; services that share a Redis need different prefixes
    redis_prefix: str = "botify"
    # allows to erase listeners; else nobody may
    admin_token: SecretStr | None = Field(default=None, min_length=1)
    # all that run: each its keys, or the path of its file; the arm of the first picks the
    # recommender
    experiments: tuple[
        Annotated[
            Experiment,
            BeforeValidator(_read_file),
            AfterValidator(_check_recommenders),
        ],
        ...,
    ] = Field(default=(_ONE_ARM,), min_length=1)
    fallback: FallbackSettings = FallbackSettings()
    # tracks of a session until a track may be recommended again; by default never
    repeat_after: NonNegativeInt | None = None
    # seed of draws, which then follow from the listener and the session's length
    seed: NonNegativeInt | None = None
    exclude: tuple[Id, ...] = ()  # tracks that no answer has
    rerank: Rerank = Rerank()  # makes lists of several tracks less alike
    fsync: Fsync = "everysec"  # when an event of the log is on the disk
    host: str = "127.0.0.1"  # address to listen on
    # names, beside local names, under which the service may be asked; by default any name, if
    # other machines reach its address
    hosts: tuple[str, ...] = ()
    port: int = Field(default=5001, ge=0, le=65535)  # port to listen on
    processes: PositiveInt = 1  # worker processes; several need Redis

    @model_validator(mode="after")
    def _check_experiments(self) -> Self:
        names = [experiment.name for experiment in self.experiments]
        if len(set(names)) < len(names):
            raise ValueError(f"experiments: names repeat: {', '.join(names)}")
        return self

    @property
    def deciding(self) -> Experiment:
        """The experiment whose arm picks the recommender."""
        return self.experiments[0]

    @property
    def recommenders(self) -> set[str]:
        """Names of the recommenders of arms and fallbacks."""
        arms = {arm.recommender for arm in self.deciding.arms}
        return arms.union(self.fallback.exhausted, self.fallback.unknown)

    @property
    def artifacts(self) -> Collection[Artifact[Any]]:
        """Artifacts of a version that its recommenders read."""
        arms = {arm.recommender for arm in self.deciding.arms}
        artifacts: set[Artifact[Any]] = {SIMILAR}
        if self.rerank.diversity:
            artifacts.add(FACTORS)
        for name in self.recommenders:
            for recommender in find_recommenders(name):
                artifacts.update(recommender.reads)
                if name in arms:
                    artifacts.update(recommender.reads_for_arms)
        return artifacts

    @property
    def remembers(self) -> bool:
        """Whether a recommender reads the latest plays of listeners."""
        return PLAYS in self.artifacts

    def warnings(self, model: ServedModel) -> list[str]:
        """List arms for which fallbacks answer, as the version lacks artifacts, and unknown ids."""
        fallbacks = (*self.fallback.unknown, "random")
        instead = [name for name in fallbacks if not missing_artifacts(name, model)]
        warnings = [
            f"exclude: {track!r} is not in the catalogue"
            for track in self.exclude
            if model.catalogue.number(track) == NO_TRACK
        ]
        warnings += [
            f"rerank.most_per.{name} changes nothing: no {name} of the catalogue has several tracks"
            for name in self.rerank.most_per
            if not model.catalogue.has(name)
        ]
        for arm in self.deciding.arms:
            missing = missing_artifacts(arm.recommender, model)
            if missing:
                warnings.append(
                    f"arm {arm.name}: {arm.recommender} needs {' and '.join(missing)}, "
                    f"which version {model.version} lacks; instead: {', '.join(instead)}"
                )
        return warnings


def load_settings(
    path: Path | None,
    environment: Mapping[str, str],
    overrides: Sequence[str] = (),
    published: Path | None = None,
) -> ServiceSettings:
    """Read a YAML file; `BOTIFY_…` variables win over it, and `key=value` overrides over all.

    The recommendations, the catalogue and the log of a `published` folder, an export's, win over
    the file.

    Raises:
        ConfigError: The file cannot be read, a key is unknown, or a value is not allowed.
    """
    above: dict[str, Any] = {}
    if published:
        above = {
            "recommendations": str(published / "current/recommendations.jsonl"),
            "catalogue": str(published / "current/tracks.json"),
            "log_dir": str(published / "log"),
        }
    for name, text in sorted(environment.items()):
        if name.startswith(ENVIRONMENT_PREFIX) and name != FILE_VARIABLE:
            key = name.removeprefix(ENVIRONMENT_PREFIX).lower()
            is_text = key in _TEXT_KEYS
            above[key] = text if is_text else parse_yaml(text, f"{name}: not YAML")
    return load_config(ServiceSettings, path, overrides, above=above)
