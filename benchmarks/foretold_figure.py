"""Two scatter plots beside one another as one SVG: predictions to the right, measured effects upwards."""

from collections.abc import Sequence

from analysis.charts.scatter import draw_predictions
from analysis.charts.svg import arm_colour, to_svg_file

Interval = tuple[float, float, float]
_KINDS = {"als": "ALS", "context": "context model", "other": "other"}


def draw(rows: Sequence[tuple[str, Interval, Interval, Interval]]) -> str:
    """Draw effects against both predictions.

    Args:
        rows: Kind, NDCG@30, off-policy estimate and effect in % of each model, numbered from 1 in this order.
    """
    predicted = {
        "NDCG@30 on held-out sessions": [ndcg for _, ndcg, _, _ in rows],
        "off-policy estimate: share heard of a recommended track": [ope for _, _, ope, _ in rows],
    }
    colours = {name: arm_colour(number) for number, name in enumerate(_KINDS.values(), start=1)}
    kinds = [_KINDS[kind] for kind, *_ in rows]
    chart = draw_predictions(predicted, [effect for *_, effect in rows], kinds, colours)
    return to_svg_file(chart, "Effect on listening time per session against offline predictions, a dot a model")
