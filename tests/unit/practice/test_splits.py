"""Splits: every number belongs to one, and nothing about them moves between releases."""

from shoal.practice.splits import LARGEST, belongs, numbers_of, split_of


def test_the_three_splits_share_no_number_and_miss_none() -> None:
    by_split = [{n for numbers in numbers_of(split) for n in numbers} for split in ("fit", "card", "test")]
    assert sum(map(len, by_split)) == LARGEST + 1
    assert set.union(*by_split) == set(range(LARGEST + 1))


def test_fit_holds_about_eight_tenths_and_all_numbers_below_a_hundred() -> None:
    sizes = {split: sum(map(len, numbers_of(split))) for split in ("fit", "card", "test")}
    assert 0.77 < sizes["fit"] / (LARGEST + 1) < 0.83
    assert min(sizes["card"], sizes["test"]) > 9_000
    assert all(split_of(number) == "fit" for number in range(100))


def test_the_split_of_a_number_never_moves() -> None:
    assert [split_of(number) for number in (325, 1000, 2146, 61853)] == ["test", "fit", "test", "test"]


def test_only_a_single_digit_multiplier_is_shared() -> None:
    assert belongs((2146, 9), "test", multiplies=True)
    assert not belongs((2146, 9), "test")
    assert not belongs((2146, 9), "card", multiplies=True)
