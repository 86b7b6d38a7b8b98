from itertools import pairwise

import numpy as np

from sim.remote.run import SessionQueue


def test_the_queue_keeps_a_listeners_sessions_in_their_order_one_at_a_time() -> None:
    listeners = np.random.default_rng(1).integers(3, size=3000)
    queue = SessionQueue(listeners)
    taken: list[int] = []
    while len(numbers := queue.take(2)):
        assert len(set(listeners[numbers].tolist())) == len(numbers)
        taken += numbers.tolist()
        queue.free(listeners[numbers].tolist())
    assert sorted(taken) == list(range(3000))
    for listener in range(3):
        ordered = [number for number in taken if listeners[number] == listener]
        assert all(earlier < later for earlier, later in pairwise(ordered))
