import random
import uuid
from itertools import chain

import pytest

from aestyle.data.sources import OrlFaces
from aestyle.data.splits import SPLITS, FolderSplit, FractionSplit, LabelSplit
from aestyle.errors import UserError

from .pictures import Listed


def names(n: int) -> list[str]:
    return [f"{uuid.uuid4().hex}.png" for _ in range(n)]


def by_key(split: FractionSplit, keys: list[str]) -> dict[str, str]:
    return {keys[index]: name for name, indices in split(Listed(keys)).items() for index in indices}


def test_every_picture_is_in_one_split_and_the_shares_are_right() -> None:
    keys = names(3000)
    splits = FractionSplit(val=0.1, test=0.2)(Listed(keys))
    assert sorted(chain(*splits.values())) == list(range(3000))
    assert abs(len(splits["val"]) - 300) < 120  # about seven standard deviations
    assert abs(len(splits["test"]) - 600) < 160
    assert all(splits[name] == sorted(splits[name]) for name in SPLITS)


def test_a_picture_stays_in_its_split_when_others_come_or_move() -> None:
    keys = names(400)
    before = by_key(FractionSplit(0.1, 0.1), keys)
    more = keys + names(300)
    random.shuffle(more)
    after = by_key(FractionSplit(0.1, 0.1), more)
    assert {key: after[key] for key in keys} == before


def test_names_that_are_not_utf8_are_split_as_well() -> None:
    assert sum(map(len, FractionSplit()(Listed(["\udcff.png", "é.png", "b.png"])).values())) == 3


@pytest.mark.parametrize("n", range(3, 8))
def test_few_pictures_fill_each_split_that_is_asked_for(n: int) -> None:
    for val, test in [(0.05, 0.05), (0.45, 0.5), (0, 0.05), (0.05, 0), (0, 0.95), (0, 0)]:
        splits = FractionSplit(val, test)(Listed(names(n)))
        assert sorted(chain(*splits.values())) == list(range(n))
        assert (len(splits["val"]) > 0, len(splits["test"]) > 0) == (val > 0, test > 0)
        assert splits["train"]


@pytest.mark.parametrize("n", [1, 2])
def test_training_comes_first_when_there_is_next_to_nothing(n: int) -> None:
    for _ in range(20):
        splits = FractionSplit(0.4, 0.5)(Listed(names(n)))
        assert splits["train"]
        assert sorted(chain(*splits.values())) == list(range(n))


@pytest.mark.parametrize(("val", "test"), [(-0.1, 0.1), (0.5, 0.5), (0, 1)])
def test_impossible_fractions_are_refused(val: float, test: float) -> None:
    with pytest.raises(UserError, match=r"dataset\.split\.val="):
        FractionSplit(val, test)


def test_orl_holds_out_whole_people() -> None:
    source = OrlFaces()
    splits = LabelSplit(val=[35, 36], test=[37, 38, 39, 40])(source)
    people = {name: {source.labels[index] for index in indices} for name, indices in splits.items()}
    assert people == {"train": set(range(1, 35)), "val": {35, 36}, "test": {37, 38, 39, 40}}
    assert sorted(chain(*splits.values())) == list(range(400))


def test_labels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UserError, match="label 3 is in val and in test"):
        LabelSplit(val=[1, 3], test=[3])
    with pytest.raises(UserError, match="has no label 9"):
        LabelSplit(test=[9])(Listed(["a", "b"], labels=[0, 1]))
    with pytest.raises(UserError, match="has no labels"):
        LabelSplit(test=[0])(Listed(["a", "b"]))


def test_pictures_of_one_group_stay_together() -> None:
    source = Listed(names(600))
    groups = [str(random.randrange(80)) for _ in range(600)]
    source.group = groups.__getitem__  # type: ignore[method-assign]
    splits = FractionSplit(0.2, 0.2)(source)
    assert sorted(chain(*splits.values())) == list(range(600))
    held = [{groups[index] for index in splits[name]} for name in SPLITS]
    assert all(held)
    assert not (held[0] & held[1] | held[0] & held[2] | held[1] & held[2])


def test_the_published_split_is_the_first_folder_of_the_names() -> None:
    keys = [f"{random.choice(['train', 'val', 'test', 'valid'])}/{name}" for name in names(60)]
    splits = FolderSplit(val=["val", "valid"], test=["test"])(Listed(keys))
    assert sorted(chain(*splits.values())) == list(range(60))
    found = {name: {keys[index].split("/")[0] for index in indices} for name, indices in splits.items()}
    assert found == {"train": {"train"}, "val": {"val", "valid"}, "test": {"test"}}
