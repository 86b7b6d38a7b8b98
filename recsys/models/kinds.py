"""The kinds of model that a search fits and scores.

Another one is one class, and its entry in `KINDS`; its hyperparameters become axes of the search's
space by an entry in `recsys.config.Models`.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from recsys.models.blend import Blend
from recsys.models.factor_models import Als, Popular
from recsys.models.item_knn import ItemKnn
from recsys.models.lists import Function, Lists
from recsys.models.model import Model
from recsys.models.repetition import Activation, Latest, MostPlayed

KINDS: Mapping[str, type[Model]] = {
    kind.name: kind
    for kind in (
        *(Als, Activation, ItemKnn, Blend, Function, Lists),
        *(Popular, MostPlayed, Latest),
    )
}


def shown_params(kind: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the hyperparameters to show: the main ones, and those that are no default."""
    main = KINDS[kind].main_params
    defaults = {field.name: field.default for field in fields(KINDS[kind].params_type)}
    return {
        name: value
        for name, value in params.items()
        if name in main or value != defaults[name]
    }
