"""What finds directions, against slow references; the file that keeps them."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from aestyle.errors import NotOffered, UserError
from aestyle.latents.directions import Directions, deviations, read_directions, style_deviations
from aestyle.latents.pca import code_components, oriented, style_components
from aestyle.latents.probe import assign_folds, balanced_accuracy, cross_validated_scores, fit_probe
from aestyle.latents.sefa import factorize, factorize_rows
from aestyle.latents.spaces import Space
from tests.latents.conftest import build


@pytest.fixture(scope="module")
def overparam() -> Any:
    return build("method=overparam")


def correlated(n: int, *shape: int) -> Tensor:
    return torch.randn(n, *shape).double() @ torch.randn(shape[-1], shape[-1]).double() + torch.randn(shape).double()


def numpy_components(vectors: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Directions and standard deviations by a singular value decomposition of everything at once."""
    x = vectors.numpy()
    _, s, vt = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    return oriented(torch.from_numpy(vt[:k])), torch.from_numpy(s[:k] / np.sqrt(len(x) - 1))


# -- principal components --------------------------------------------------------------------------------------------


def test_components_of_styles_are_those_of_all_rows_and_layers() -> None:
    codes = correlated(40, 3, 6)
    k = random.randint(1, 6)
    found = style_components(codes.split(random.randint(1, 40)), k)
    directions, std = numpy_components(codes.flatten(0, 1), k)
    torch.testing.assert_close(found.directions, directions)
    torch.testing.assert_close(found.std, std)
    torch.testing.assert_close(found.mean, codes.mean(dim=(0, 1)))
    variances = codes.flatten(0, 1).var(dim=0).sum()
    torch.testing.assert_close(found.share, found.std.square() / variances)


def test_components_of_codes_with_more_numbers_than_codes() -> None:
    codes = correlated(7, 4, 5)
    k = random.randint(1, 6)
    found = code_components(codes, k)
    directions, std = numpy_components(codes.flatten(1), k)
    torch.testing.assert_close(found.directions, directions)
    torch.testing.assert_close(found.std, std)
    torch.testing.assert_close(found.directions @ found.directions.T, torch.eye(k).double())


def test_components_that_are_not_there() -> None:
    with pytest.raises(UserError, match="components=7: give a number from 1 to 6"):
        style_components([torch.randn(9, 6)], 7)
    with pytest.raises(UserError, match="components=3: give a number from 1 to 2"):
        code_components(torch.randn(3, 6), 3)
    with pytest.raises(UserError, match="at least 2 codes"):
        style_components([torch.randn(1, 6)], 1)
    with pytest.raises(UserError, match="at least 2 codes"):
        style_components([], 1)


# -- weights ---------------------------------------------------------------------------------------------------------


def test_no_style_changes_outputs_more_than_the_first() -> None:
    weights = [torch.randn(width, 6).double() for width in (4, 9, 3)]
    found, values = factorize(weights, 6, normalize=False)
    expected, vectors = np.linalg.eigh(sum((a.T @ a).numpy() for a in weights))
    torch.testing.assert_close(values, torch.from_numpy(expected[::-1].copy()))
    torch.testing.assert_close(found, oriented(torch.from_numpy(vectors.T[::-1].copy())))
    changes = sum((a @ found.T).square().sum(dim=0) for a in weights)
    torch.testing.assert_close(changes, values)
    other = torch.nn.functional.normalize(torch.randn(100, 6).double(), dim=1)
    assert (sum((a @ other.T).square().sum(dim=0) for a in weights) <= values[0] + 1e-9).all()  # type: ignore[operator]


def test_scales_of_outputs_do_not_count_when_normalised() -> None:
    a = torch.randn(20, 5).double()
    scaled = a * torch.rand(20, 1).add(0.1).double() * 9
    torch.testing.assert_close(factorize([a], 3), factorize([scaled], 3))
    with pytest.raises(UserError, match="components=6: give a number from 1 to 5"):
        factorize([a], 6)


def test_rows_change_their_own_kernels_most(overparam: Any) -> None:
    """Measured on the modulated kernels themselves: no step of a row's style changes them more."""
    weights, energies = overparam.style_weights(), overparam.kernel_energies()
    directions, _ = factorize_rows(weights, energies, 2)
    rows = overparam.synthesis.rows
    assert directions.shape == (2, rows, overparam.synthesis.style_dim)
    layers = overparam.ema["synthesis"].styled_layers()

    def change(row: int, step: Tensor) -> float:
        """Squared length of the change of the kernels that a row scales."""
        total = 0.0
        for layer in layers:
            own = torch.arange(rows)[layer.rows].tolist()
            if row in own:
                kernels = layer.weight[own.index(row)] * layer.scale
                moved = layer.affine(step[None]) - layer.affine(torch.zeros_like(step)[None])
                total += float((kernels * moved[0][:, None, None]).square().sum())
        return total

    for row in range(rows):
        best = change(row, directions[0, row])
        for step in torch.nn.functional.normalize(torch.randn(20, directions.shape[-1]).double(), dim=1):
            assert change(row, step) <= best + 1e-9
        torch.testing.assert_close(directions[:, row] @ directions[:, row].T, torch.eye(2).double())


@pytest.mark.parametrize("rgb", ["own", "shared"])
def test_energies_are_those_of_the_gradient(rgb: str) -> None:
    """Rows without energy are rows that the image does not feel."""
    model = build("method=overparam", f"method.synthesis.rgb={rgb}")
    codes = torch.randn(1, *model.spaces["w_rows_plus"].shape, dtype=torch.float64, requires_grad=True)  # type: ignore[operator, index]
    (gradient,) = torch.autograd.grad(model.decode(codes, "w_rows_plus").square().sum(), codes)  # type: ignore[operator]
    for felt, energies in zip(gradient[0], model.kernel_energies(), strict=True):  # type: ignore[operator]
        used = energies.sum(dim=1) > 0
        assert not felt[~used].any()
        assert felt[used].any(dim=1).all()


def test_models_say_which_weights_codes_enter(models: dict[str, Any], overparam: Any) -> None:
    for model in (models["none"], overparam):
        weights = model.style_weights()
        assert len(weights) == model.synthesis.num_ws
        w = torch.randn(2, model.synthesis.style_dim).double()
        for weight, layer in zip(weights, model.ema["synthesis"].styled_layers(), strict=True):
            moved = layer.affine(w) - layer.affine(torch.zeros_like(w))
            torch.testing.assert_close(moved, w @ weight.T)
    plain = build("method=aae")
    z = torch.randn(2, plain.latent_dim).double()  # type: ignore[arg-type]
    first = plain.ema["decoder"].body[0]  # type: ignore[index, union-attr]
    torch.testing.assert_close(first(z) - first(0 * z), z @ plain.style_weights()[0].T)  # type: ignore[operator]
    with pytest.raises(NotOffered, match="mapping network"):
        build("method=iaae").style_weights()  # type: ignore[operator]


# -- probes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [12, 200])
def test_probe_solves_its_equation(n: int) -> None:
    codes, labels = correlated(n, 30), torch.arange(n) % 3
    ridge = 10 ** random.uniform(-3, 1)
    probe = fit_probe(codes, labels, [0, 2], ridge)
    covariance = np.cov(codes.numpy().T, bias=True)
    matrix = covariance + ridge * np.trace(covariance) / 30 * np.eye(30)
    for direction, offset, number in zip(probe.directions, probe.offsets, (0, 2), strict=True):
        inside, outside = codes[labels == number].mean(dim=0), codes[labels != number].mean(dim=0)
        expected = torch.from_numpy(np.linalg.solve(matrix, (inside - outside).numpy()))
        torch.testing.assert_close(direction, expected / expected.norm())
        torch.testing.assert_close(direction @ inside + offset, -(direction @ outside + offset))
    apart = codes[labels == 2].mean(dim=0) - codes[labels != 2].mean(dim=0)
    torch.testing.assert_close(probe.apart[1], apart / apart.norm())
    torch.testing.assert_close(fit_probe(codes, labels, [2], 1e9).directions[0], probe.apart[1])


def test_probe_of_one_against_one_is_the_least_squares_fit() -> None:
    """Fisher: with little ridge, the direction of a regression of balanced labels."""
    codes = correlated(80, 5)
    labels = torch.arange(80) % 2
    design = np.concatenate([codes.numpy(), np.ones((80, 1))], axis=1)
    fitted = torch.from_numpy(np.linalg.lstsq(design, 2.0 * labels.numpy() - 1, rcond=None)[0][:5])
    probe = fit_probe(codes, labels, [1], ridge=1e-9)
    torch.testing.assert_close(probe.directions[0], fitted / fitted.norm(), rtol=1e-5, atol=1e-6)


def test_cross_validation_is_chance_for_labels_that_mean_nothing_and_sure_for_clear_ones() -> None:
    codes = torch.randn(300, 100)
    labels = torch.randint(0, 3, (300,))
    folds = assign_folds(labels.tolist(), list(map(str, range(300))), 5)
    classes = [0, 1, 2]
    assert (
        balanced_accuracy(fit_probe(codes, labels, classes, 0.01).scores(codes), labels, classes).mean() > 0.7
    )  # fitted to noise
    chance = balanced_accuracy(cross_validated_scores(codes, labels, folds, classes, 0.01), labels, classes)
    assert chance.mean() == pytest.approx(0.5, abs=0.1)
    codes = codes + 9 * torch.eye(3, 100)[labels]
    sure = balanced_accuracy(cross_validated_scores(codes, labels, folds, classes), labels, classes)
    assert sure.min() > 0.95


def test_a_group_is_in_one_fold_and_a_class_in_all() -> None:
    groups = [f"group {i // 3}" for i in range(90)]
    labels = [i // 3 % 2 for i in range(90)]
    folds = assign_folds(labels, groups, 5)
    assert all(len(set(folds[i : i + 3].tolist())) == 1 for i in range(0, 90, 3))
    for number in (0, 1):
        counts = folds[torch.tensor(labels) == number].bincount(minlength=5)
        assert counts.tolist() == [9] * 5


def test_balanced_accuracy_by_hand() -> None:
    scores = torch.tensor([[1.0, -1], [-1, 1], [1, 1], [-1, -1]])
    labels = torch.tensor([7, 7, 3, 5])
    torch.testing.assert_close(balanced_accuracy(scores, labels, [7, 3]), torch.tensor([0.5, 5 / 6]))


# -- the file --------------------------------------------------------------------------------------------------------


def some(space: str = "w", *shape: int, k: int = 3) -> Directions:
    names = [f"name {i} ψ" for i in range(k)]
    return Directions(
        torch.randn(k, *shape), torch.randn(shape), torch.rand(k), space, names, "sefa", "here", {"a": "b"}
    )


def test_directions_survive_the_file(tmp_path: Path) -> None:
    written = some("w_rows", 4, 6)
    read = read_directions(written.save(tmp_path / "below" / "my directions.safetensors"))
    for name in ("directions", "mean", "std"):
        assert torch.equal(getattr(read, name), getattr(written, name))
    for name in ("space", "names", "method", "source", "facts"):
        assert getattr(read, name) == getattr(written, name)
    assert set(load_file(tmp_path / "below" / "my directions.safetensors")) == {"directions", "mean", "std"}


def test_files_that_hold_no_directions(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    with pytest.raises(UserError, match="there is no such file"):
        read_directions(path)
    path.write_bytes(b"no")
    with pytest.raises(UserError, match="cannot be read"):
        read_directions(path)
    save_file({"codes": torch.zeros(2)}, path, {"space": "w"})
    with pytest.raises(UserError, match="holds no directions"):
        read_directions(path)
    found = some("w", 6)
    tensors = {"directions": found.directions, "mean": found.mean, "std": found.std[:2]}
    save_file(tensors, path, {"space": "w", "method": "", "source": "", "names": '["a", "b", "c"]'})
    with pytest.raises(UserError, match=r"x.safetensors: .* standard deviations"):
        read_directions(path)


def test_choosing_by_name_or_number() -> None:
    found = some("w", 6)
    chosen = found.choose([2, found.names[0]])
    assert chosen.names == [found.names[2], found.names[0]]
    assert torch.equal(chosen.directions, found.directions[[2, 0]])
    assert torch.equal(chosen.std, found.std[[2, 0]])
    with pytest.raises(UserError, match="no direction 3: choose one of name 0"):
        found.choose([3])


def test_a_step_fits_all_wider_spaces() -> None:
    found = some("w", 6)
    step = found.std[:, None] * found.directions
    for shape in ((6,), (4, 6), (4, 5, 6)):
        steps = found.steps(Space("any", shape))
        assert torch.equal(steps, step.view(3, *[1] * (len(shape) - 1), 6).expand(3, *shape))
    layers = some("w_rows_plus", 4, 1, 6).steps(Space("w_rows_plus", (4, 5, 6)))
    assert torch.equal(layers[:, :, 0], layers[:, :, 4])
    for shape in ((5,), (3, 6)):
        with pytest.raises(UserError, match="do not fit"):
            some("w_plus", 4, 6).steps(Space("w", shape))


def test_edits_take_place_in_the_wider_space(models: dict[str, Any]) -> None:
    model = models["none"]
    assert some("w", 6).place(model, "z") == "w"
    assert some("w", 6).place(model, "w_plus") == "w_plus"
    assert some("w_plus", 4, 6).place(model, "w") == "w_plus"
    with pytest.raises(UserError, match="none of this model's spaces"):
        some("w_rows", 4, 6).place(model, "w")


def test_deviations() -> None:
    codes, directions = correlated(50, 4, 6), torch.randn(2, 4, 6).double()
    expected = (codes[:, None] * directions).sum(dim=(2, 3)).std(dim=0)
    torch.testing.assert_close(deviations(codes, directions), expected)
    single = torch.nn.functional.normalize(torch.randn(2, 6).double(), dim=1)
    by_row = torch.stack([(codes @ d).std(dim=0).square().mean().sqrt() for d in single])
    torch.testing.assert_close(style_deviations(codes, single), by_row)
    torch.testing.assert_close(style_deviations(codes, single[:, None].expand(-1, 4, -1)), by_row)
