"""From the session store to the matrices that are fitted and the listening that is held out.

In: a session store and the configuration's split and feedback. Out: a folder of arrays, named by
its digest. Read `dataset` first (the content of the folder; `layout` names its files), then `plan`
(its settings) and `split` (its kinds); `cache` opens or builds a dataset, `build` runs
`partitions` on workers and joins their tables by `matrices`; `interactions` is the training data of
models, and `features` reads columns of the catalogue.
"""
