"""Predict by regression trees that LightGBM fitted, without LightGBM and in a third of its time.

QuickScorer (Lucchese et al., QuickScorer: a fast algorithm to rank documents with additive
ensembles of regression trees, SIGIR 2015). Each leaf of a tree is a bit; a condition that fails
clears the bits of the leaves on its left, and the lowest bit that stays is the leaf that is
reached. Which conditions on a feature fail depends on its value alone, so their bits are combined
beforehand.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from looplib.arrays import Float32Array, FloatArray, IntArray, UInt32Array

LEAVES = 32  # most leaves of a tree: the bits of a number
_ROWS = 512  # rows at once, so that their bits stay in the cache


class Trees(NamedTuple):
    """The arrays of an ensemble; an inner node's condition is feature ≤ threshold."""

    features: IntArray  # feature of each condition
    thresholds: FloatArray
    trees: IntArray  # tree of each condition
    reachable: UInt32Array  # bits of the leaves that are left if the condition fails
    leaves: FloatArray  # values from left to right, shape (trees, LEAVES)


def read_model(model: Mapping[str, Any]) -> Trees:
    """Read the trees of a `lightgbm.Booster.dump_model()`.

    Raises:
        ValueError: A tree has more than `LEAVES` leaves.
    """
    leaves = np.zeros((len(model["tree_info"]), LEAVES))
    conditions: list[tuple[int, float, int, int]] = []
    for tree, row in zip(model["tree_info"], leaves, strict=True):
        if tree["num_leaves"] > LEAVES:
            raise ValueError(f"{tree['num_leaves']} leaves, at most {LEAVES} are read")
        values: list[float] = []
        _walk(tree["tree_structure"], tree["tree_index"], values, conditions)
        row[: len(values)] = values
    columns = np.array(conditions, np.float64).reshape(-1, 4).T
    features, thresholds, trees, reachable = columns
    return Trees(
        features.astype(np.int64),
        thresholds,
        trees.astype(np.int64),
        reachable.astype(np.uint32),
        leaves,
    )


def _walk(
    node: Mapping[str, Any],
    tree: int,
    values: list[float],
    conditions: list[tuple[int, float, int, int]],
) -> int:
    """Collect the leaves and conditions below a node, from left to right.

    Returns:
        The bits of its leaves.
    """
    if "leaf_value" in node:
        values.append(node["leaf_value"])
        return 1 << (len(values) - 1)
    left = _walk(node["left_child"], tree, values, conditions)
    right = _walk(node["right_child"], tree, values, conditions)
    reachable = ~left % 2**LEAVES
    conditions.append((node["split_feature"], node["threshold"], tree, reachable))
    return left | right


class Ensemble:
    """Trees that are ready to predict.

    Example:
        >>> stump = {"split_feature": 0, "threshold": 0.5}
        >>> stump |= {"left_child": {"leaf_value": -1.0}, "right_child": {"leaf_value": 3.0}}
        >>> tree = {"tree_index": 0, "num_leaves": 2, "tree_structure": stump}
        >>> Ensemble(read_model({"tree_info": [tree]})).predict(np.float32([[0.4], [0.6]]))
        array([-1.,  3.])
    """

    def __init__(self, trees: Trees) -> None:
        """Combine the bits of each feature's conditions."""
        count = len(trees.leaves)
        self._leaves = trees.leaves.ravel()
        self._first_leaf = np.arange(count) * LEAVES
        # Thresholds of each feature, and the bits that are left by the number of failed thresholds.
        self._features: list[tuple[int, FloatArray, UInt32Array]] = []
        for feature in np.unique(trees.features).tolist():
            at = np.flatnonzero(trees.features == feature)
            thresholds, place = np.unique(trees.thresholds[at], return_inverse=True)
            bits = np.full((len(thresholds) + 1, count), 2**LEAVES - 1, np.uint32)
            np.bitwise_and.at(bits, (place + 1, trees.trees[at]), trees.reachable[at])
            np.bitwise_and.accumulate(bits, out=bits)
            self._features.append((feature, thresholds, bits))

    def predict(self, features: Float32Array) -> FloatArray:
        """Add up the predictions of the trees.

        Args:
            features: Shape (rows, features).

        Returns:
            Shape (rows,); a row's is the same beside any others.
        """
        blocks = np.split(features, range(_ROWS, len(features), _ROWS))
        return np.concatenate([self._predict(block) for block in blocks])

    def _predict(self, features: Float32Array) -> FloatArray:
        shape = (len(features), len(self._first_leaf))
        reachable = np.full(shape, 2**LEAVES - 1, np.uint32)
        for feature, thresholds, bits in self._features:
            failed = np.searchsorted(thresholds, features[:, feature])
            reachable &= bits[failed]
        lowest = reachable & (~reachable + np.uint32(1))
        leaf = np.frexp(lowest.astype(np.float32))[1] - 1  # its binary logarithm
        values = self._leaves[leaf + self._first_leaf]
        return np.asarray(values.sum(axis=1))
