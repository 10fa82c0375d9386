"""Pictures: what stands where, and what is left out."""

from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch import Tensor

from aestyle.data.transforms import to_float, to_uint8
from aestyle.engine.callbacks.grids import beside, save_grid
from aestyle.errors import UserError
from aestyle.studies.figures import MissingRunError, draw_all, pictures_of
from aestyle.studies.loading import load
from aestyle.studies.showing import Options
from aestyle.studies.training import train
from experiments.ae_stylegan import figures
from experiments.ae_stylegan.figures import all_pictures
from experiments.ae_stylegan.sheets import cut, grids_of, sheet
from tests.experiments.recorded import PAPER, SCALE, drawn, new_study, record, runs_of, write
from tests.tiny import compose_tiny


@pytest.fixture
def study(tmp_path: Path) -> Options:
    return new_study(tmp_path / "study")


def pictures(n: int, size: int = 8, channels: int = 3) -> Tensor:
    """Images that survive 8 bits."""
    return to_float(torch.randint(0, 255, (n, channels, size, size), dtype=torch.uint8))


def page(figure: Figure) -> Tensor:
    """The picture of a sheet, uint8 (3, H, W)."""
    return torch.from_numpy(np.asarray(figure.axes[0].images[0].get_array())).permute(2, 0, 1)


def tile(figure: Figure, row: int, column: int, size: int, gap: int = 2) -> Tensor:
    top, left = gap + row * (size + gap), gap + column * (size + gap)
    return to_float(page(figure)[:, top : top + size, left : left + size])


def folder_of(options: Options, run: str, seed: int = 0) -> Path:
    write(options, run, seed, {})
    folder = options.results().run_dir(run, seed)
    (folder / "samples").mkdir(parents=True)
    return folder


class TestSheets:
    def test_every_picture_in_its_place(self) -> None:
        rows = [pictures(3), pictures(2), pictures(1, channels=1)]
        figure = sheet(rows, ["a", "b", "c"], ["1", "2", "3"])
        for i, row in enumerate(rows):
            for j, image in enumerate(row):
                assert torch.equal(tile(figure, i, j, 8), image.expand(3, -1, -1))
        assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["a", "b", "c"]
        assert (page(figure)[:, 12:20, 22:30] == 255).all()

    @pytest.mark.parametrize("count", [4, 5, 8, 11, 16, 20, 30, 32])
    def test_grids_are_cut_into_what_they_were_made_of(self, tmp_path: Path, count: int) -> None:
        real, rec = pictures(count), pictures(count)
        save_grid(beside(real, rec), tmp_path / "grid.png")
        found = cut(tmp_path / "grid.png")
        assert torch.equal(found[0], real)
        assert torch.equal(found[1], rec)

    def test_another_picture_is_refused(self, tmp_path: Path) -> None:
        save_grid(pictures(5), tmp_path / "five.png", columns=5)
        with pytest.raises(UserError, match=r"five\.png: is not a grid"):
            cut(tmp_path / "five.png")

    def test_grids_are_found_in_the_order_of_training(self, tmp_path: Path) -> None:
        (tmp_path / "samples").mkdir()
        for kimg in (10.0, 0.0, 2.5):
            save_grid(pictures(8), tmp_path / "samples" / f"reconstructions-{kimg:08.2f}.png")
        save_grid(pictures(8), tmp_path / "samples" / "samples-00001.00.png")
        assert list(grids_of(tmp_path)) == [0.0, 2.5, 10.0]


def test_progress_shows_fixed_pictures_along_the_training(study: Options) -> None:
    real = pictures(8)
    stored: dict[str, list[Tensor]] = {"decoupled_frozen_1": [], "shared_joint_1": []}
    for run, grids in stored.items():
        folder = folder_of(study, run)
        for kimg in (0, 4, 6):
            grids.append(pictures(8))
            save_grid(beside(real, grids[-1]), folder / "samples" / f"reconstructions-{kimg:08.2f}.png")
    names = {"decoupled": "decoupled_frozen_1", "joint": "shared_joint_1"}
    figure = figures.draw_progress(study.results(), names, pictures=2)
    for row, (run, i) in enumerate((run, i) for run in stored for i in (0, 4)):
        assert torch.equal(tile(figure, row, 0, 8), real[i])
        for column, grid in enumerate(stored[run], start=1):
            assert torch.equal(tile(figure, row, column, 8), grid[i])
    axes = figure.axes[0]
    assert [t.get_text() for t in axes.get_xticklabels()] == ["real", "0 kimg", "4 kimg", "6 kimg"]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["decoupled"] * 2 + ["joint"] * 2


def test_bars_are_means(study: Options) -> None:
    values = drawn(np.random.default_rng(), runs_of(study))
    figure = figures.draw_ablation(record(study, values), PAPER, SCALE)
    heights = [patch.get_height() for patch in figure.axes[0].patches]
    assert heights == pytest.approx([np.mean(values[run]["mse"]) for run in PAPER.content["table4"]])


def test_curves_are_means_over_seeds(study: Options) -> None:
    random = np.random.default_rng()
    curves = random.uniform(1, 2, (3, 5))
    for seed, curve in enumerate(curves):
        folder = folder_of(study, "shared_joint_1", seed)
        lines = [f'{{"kimg": {k}, "loss/pixel": {value}}}\n' for k, value in enumerate(curve)]
        (folder / "stats.jsonl").write_text("".join(lines) + '{"kimg": 9}\n')
    figure = figures.draw_lag(study.results(), ["shared_joint_1"])
    assert np.allclose(figure.axes[0].lines[0].get_xydata(), np.stack([np.arange(5), curves.mean(axis=0)], axis=1))


def test_what_cannot_be_drawn_is_named(study: Options, tmp_path: Path) -> None:
    drawn_ones, left_out = draw_all(all_pictures(study.results(), PAPER, SCALE), tmp_path / "out")
    assert not drawn_ones
    assert not list((tmp_path / "out").iterdir())
    assert "figure5.png is left out: no run folder of decoupled_frozen_1, shared_joint_1" in left_out
    assert len(left_out) == len(all_pictures(study.results(), PAPER, SCALE))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Options:
    """Two tiny models on the faces."""
    options = new_study(tmp_path_factory.mktemp("trained") / "study")
    for run, method in (("joint_w_plus-orl_faces", "joint_ae"), ("alae-orl_faces", "alae")):
        write(options, run, 0, {})
        folder = options.results().run_dir(run, 0)
        train(compose_tiny("dataset=orl_faces", "kimg=0.016", f"method={method}", f"run_dir={folder}"), folder)
    return options


@pytest.mark.slow
class TestPicturesOfModels:
    def test_reconstructions(self, trained: Options) -> None:
        results = trained.results()
        runs = {"ALAE": "alae-orl_faces", "W+": "joint_w_plus-orl_faces"}
        figure = figures.draw_reconstructions(results, runs)
        x = pictures_of(results.run_dir("alae-orl_faces", 0), figures.PICTURES)
        assert torch.equal(tile(figure, 0, 3, 8)[:1], x[3])
        for row, run in enumerate(runs.values(), start=1):
            model = load(results.run_dir(run, 0))
            rec = to_float(to_uint8(model.decode(model.encode(x))))
            assert torch.equal(tile(figure, row, 7, 8)[:1], rec[7])

    def test_samples(self, trained: Options) -> None:
        figure = figures.draw_samples(trained.results(), PAPER, ["alae-orl_faces"])
        samples = load(trained.results().run_dir("alae-orl_faces", 0)).sample(16, seed=0)
        assert torch.equal(tile(figure, 1, 2, 8)[:1], to_float(to_uint8(samples))[10])

    def test_mixing(self, trained: Options) -> None:
        run = "joint_w_plus-orl_faces"
        figure = figures.draw_mixing(trained.results(), run, rows=2, columns=3)
        folder = trained.results().run_dir(run, 0)
        x, model = pictures_of(folder, 5), load(folder)
        codes = model.encode(x)
        layers = codes.shape[1]
        mixed = codes[:2].clone()
        first = round(layers * 7 / 12)
        mixed[:, first:] = codes[4, first:]  # the third of B
        wanted = {(0, 2): x[2], (2, 0): x[0], (1, 4): model.decode(codes)[4], (3, 1): model.decode(codes)[1]}
        wanted |= {(2 + a, 4): image for a, image in enumerate(model.decode(mixed))}
        for (row, column), image in wanted.items():
            assert torch.equal(tile(figure, row, column, 8)[:1], to_float(to_uint8(image[None]))[0])
        assert (tile(figure, 0, 0, 8) == 1).all()

    def test_a_folder_that_went_is_named(self, trained: Options) -> None:
        write(trained, "joint_w-orl_faces", 0, {})
        with pytest.raises(MissingRunError, match="no run folder of joint_w-orl_faces"):
            figures.draw_samples(trained.results(), PAPER, ["alae-orl_faces", "joint_w-orl_faces"])
