"""Models: a kind is a file with its configuration and its class, which has `fit` and `recommend`.

In: `recsys.dataset.interactions.Interactions` and hyperparameters. Out: the best tracks of each
listener. Read `base` first (the shape), then a kind, such as `item_knn` or `als`; `registry` names
all kinds. `factors` and `sparse` rank, `solver` and `kernels` have the loops of ALS. The only
folder that imports numba.
"""
