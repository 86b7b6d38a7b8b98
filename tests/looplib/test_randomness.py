from looplib.randomness import make_generator

IDS: tuple[tuple[int, ...], ...] = ((), (0,), (1,), (0, 1))


def test_a_generator_follows_from_seed_purpose_and_ids_alone() -> None:
    keys = [(seed, word, ids) for seed in (7, 8) for word in "ab" for ids in IDS]
    first, second = (
        [make_generator(seed, word, *ids).random() for seed, word, ids in keys]
        for _ in range(2)
    )
    assert first == second
    assert len({*first}) == len(keys)
