from looplib.randomness import make_generator


def test_a_generator_follows_from_seed_purpose_and_ids_alone() -> None:
    keys = (
        (7, "trials"),
        (8, "trials"),
        (7, "trial"),
        (7, "trials", 0),
        (7, "trials", 1),
        (7, "trials", 0, 1),
    )
    drawn = [make_generator(*key).random() for key in keys]
    assert drawn == [make_generator(*key).random() for key in keys]
    assert len(set(drawn)) == 6
