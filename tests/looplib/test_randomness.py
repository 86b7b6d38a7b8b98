from looplib.randomness import make_generator

IDS: tuple[tuple[int, ...], ...] = ((), (0,), (1,), (0, 1))


def test_a_generator_follows_from_seed_purpose_and_ids_alone() -> None:
    first, second = (
        [
            make_generator(seed, purpose, *ids).random()
            for seed in (7, 8)
            for purpose in ("trial", "trials")
            for ids in IDS
        ]
        for _ in range(2)
    )
    assert first == second
    assert len({*first}) == 2 * 2 * len(IDS)
