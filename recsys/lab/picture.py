"""The picture of the live experiment: each arm's effect so far, with the interval that may be looked at on any day."""

from analysis.page import numbers
from analysis.page.figures import Forest, Mark, Table, Tick, arm_style
from analysis.page.scales import Scale, covering
from recsys.lab.live import Look

Figures = dict[str, float | None]


def draw_effects(look: Look) -> Forest | None:
    """The effects of the deciding experiment's arms; None while there are none."""
    experiment = next((each for each in look.experiments if each["decides"]), None)
    recommenders = {arm["name"]: arm["recommender"] for arm in experiment["arms"]} if experiment else {}
    known = {arm: found for arm, found in look.arms.items() if found["effect"] is not None}
    if not known:
        return None
    ends = [found[end] for found in known.values() for end in ("effect", "lower", "upper")]
    scale = covering(ends, include=0.0, margin=0.08)
    places = {arm: place for place, arm in enumerate(look.arms)}
    return Forest(
        title="Listening time per session against the control",
        note="With intervals that hold on all days at once. A filled mark: the interval does not reach 0.",
        description="; ".join(f"{arm}: {_text(found)}" for arm, found in known.items()),
        x_title="effect so far",
        ticks=tuple(Tick(scale.at(value), numbers.tick(value, "%")) for value in scale.ticks(4)),
        zero=scale.at(0),
        groups=(
            (
                "",
                tuple(
                    _mark(f"{arm} {recommenders.get(arm, '')}", found, scale, arm_style(places[arm]))
                    for arm, found in known.items()
                ),
            ),
        ),
        legend=(),
        table=Table(
            ("Arm", "Effect", "Lower", "Upper"),
            tuple(
                (arm, *(numbers.change(found[end]) for end in ("effect", "lower", "upper")))
                for arm, found in known.items()
            ),
        ),
    )


def _mark(label: str, found: Figures, scale: Scale, style: str) -> Mark:
    effect, lower, upper = (found[end] for end in ("effect", "lower", "upper"))
    return Mark(
        label=label,
        arm="",
        text=_text(found),
        style=style,
        at=None if effect is None else scale.at(effect),
        low=None if lower is None else scale.at(lower),
        high=None if upper is None else scale.at(upper),
        sure=lower is not None and upper is not None and not lower <= 0 <= upper,
        hint="",
    )


def _text(found: Figures) -> str:
    return f"{numbers.change(found['effect'], 1)}  ({numbers.interval(found['lower'], found['upper'], 1)})"
