"""From the session store to the matrices that are fitted and the listening that is held out.

In: a session store and the configuration's split and feedback. Out: a folder of arrays, named by
its digest. Read `dataset` first (what the folder holds), then `split` (its kinds), `partitions` (what
runs on a worker) and `build`.
"""
