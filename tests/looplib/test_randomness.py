from looplib.randomness import make_generator


def test_a_generator_follows_from_seed_purpose_and_ids_alone() -> None:
    assert make_generator(7, "trials", 3).random() == make_generator(7, "trials", 3).random()


def test_another_seed_purpose_or_id_gives_another_generator() -> None:
    drawn = {
        make_generator(*key).random()
        for key in ((7, "trials"), (8, "trials"), (7, "trial"), (7, "trials", 0), (7, "trials", 1), (7, "trials", 0, 1))
    }
    assert len(drawn) == 6
