"""The overparameterised generator's prior, losses and spaces."""

from typing import Any

import pytest
import torch
from torch import Tensor

from aestyle.engine.draws import RecordedDraws
from aestyle.engine.module import PhasedModule
from aestyle.engine.phases import Step
from aestyle.errors import UserError
from aestyle.latents.prior import mean_code, prior_codes
from aestyle.metrics.path_length import PerceptualPathLength
from aestyle.nets.generator import style_per_layer
from tests.methods.driven import images, tiny
from tests.metrics.latents import SquaredL2

BASELINE = "stylegan2 method/settings=auto method/augment=ada"
PER_LAYER = "overparam method.codes.own_per_layer=true"


def method_of(options: str) -> Any:
    method = tiny(options)[0].double()
    method.mapping.layers.apply(lambda m: m.bias.data.normal_() * 30 if hasattr(m, "bias") else None)
    return method


def test_equal_rows_train_as_stylegan2() -> None:
    """With rho=1 every phase but the path length, whose matrix has more entries, has the gradients of the baseline."""
    overparam = "overparam method.codes.rho=1"
    methods = [method_of(f"{options} method.path_length=null") for options in (overparam, BASELINE)]
    methods[1].load_state_dict(methods[0].state_dict())
    torch.testing.assert_close(methods[0].sample(3, seed=1), methods[1].sample(3, seed=1), rtol=0, atol=1e-9)
    for i in range(3):
        for method in methods:
            method.training_step({"image": images(method, seed=i)}, 0)
    (mine, theirs) = (method.batch_stats for method in methods)
    assert mine == pytest.approx(theirs, rel=1e-5)
    torch.testing.assert_close(methods[0].sample(3, seed=2), methods[1].sample(3, seed=2), rtol=0, atol=1e-6)


@pytest.mark.parametrize("own_per_layer", [False, True])
@pytest.mark.parametrize("rho", [0.0, 0.3, 0.5, 1.0])
def test_rows_of_the_prior_are_standard_normal_and_correlated(rho: float, own_per_layer: bool) -> None:
    method = method_of(f"overparam method.codes.rho={rho} method.codes.own_per_layer={own_per_layer}")
    z = method.prior(4000, seed=1)
    assert z.shape[1:] == method.spaces["z"].shape
    z = z if own_per_layer else z.unsqueeze(1)  # (n, layers, rows, dim)
    correlation = torch.corrcoef(z[..., 0].flatten(1).T)
    layer = torch.arange(z.shape[1]).repeat_interleave(z.shape[2])
    expected = torch.where(layer[:, None] == layer, rho, 0.0).fill_diagonal_(1.0)
    torch.testing.assert_close(correlation, expected.double(), rtol=0, atol=0.08)
    torch.testing.assert_close(z.var(dim=0), torch.ones_like(z[0]), rtol=0, atol=0.15)
    assert float(z.mean(dim=0).abs().max()) < 0.08


def test_training_draws_are_of_the_prior() -> None:
    rho = 0.3
    method = method_of(f"overparam method.codes.rho={rho}")
    dim, rows, n = method.synthesis.style_dim, method.synthesis.rows, 3
    kept = {name: torch.randn(n, dim).double() for name in ("z", "z2")}
    kept |= {f"{name}_rows": torch.randn(n, rows, dim).double() for name in ("z", "z2")}
    draws = RecordedDraws({**kept, "mix": 0.0, "crossover": 0.5})
    ws = method.styles(n, draws)
    crossover = 1 + (method.synthesis.num_ws - 1) // 2
    for name, layers in {"z": slice(0, crossover), "z2": slice(crossover, None)}.items():
        z = [rho**0.5 * kept[name] + (1 - rho) ** 0.5 * kept[f"{name}_rows"][:, i] for i in range(rows)]
        w = torch.stack([method.mapping(row) for row in z], dim=1)
        torch.testing.assert_close(ws[:, layers], style_per_layer(w, method.synthesis.num_ws)[:, layers])


def test_mixed_codes_share_their_common_part_on_demand() -> None:
    n, shapes = 4, {}
    for share in (False, True):
        method = method_of(f"overparam method.codes.rho=1 method.codes.mix_shared={share}")
        draws = method.draws("G", 0, images(method)[:n])
        first, second = (method.unmixed_styles(name, n, draws) for name in ("z", "z2"))
        shapes[share] = torch.allclose(first, second)
    assert shapes == {False: False, True: True}


@pytest.mark.parametrize("options", ["overparam", PER_LAYER])
def test_path_length_is_the_norm_of_the_jacobian_of_matrices(options: str) -> None:
    """Row by row, layer by layer: the lengths of the phase from single gradients."""
    method = method_of(f"{options} method.style_mixing=0 method.path_length.every=1 method.path_length.weight=1")
    step = Step(images(method, size=8), method.draws("G_path", 0, images(method)))
    loss = method.path_length_loss(step)
    count = 4
    ws = method.styles(count, step.draws)
    leaves = [[row.detach().requires_grad_() for row in layer.unbind(1)] for layer in ws.unbind(1)]
    image = method.synthesis(torch.stack([torch.stack(layer, dim=1) for layer in leaves], dim=1))
    y = step.draws.normal("path_direction", image.shape[1:], count)
    flat = [row for layer in leaves for row in layer]
    gradients = torch.autograd.grad((image * y).sum() / image.shape[-1], flat, allow_unused=True)
    squares = sum((g.square().sum(dim=1) for g in gradients if g is not None), torch.zeros(count))
    lengths = (squares / method.synthesis.num_ws).sqrt()
    mean = lengths.mean() * 0.01
    torch.testing.assert_close(loss, (lengths - mean).square().mean())


@pytest.mark.parametrize("options", ["overparam", PER_LAYER])
def test_codes_of_every_space_decode_to_the_samples(options: str) -> None:
    method = method_of(options)
    expected = method.sample(3, seed=4)
    for name in method.spaces:
        code = prior_codes(method, name, 3, seed=4)
        torch.testing.assert_close(method.decode(code, name), expected)
    torch.testing.assert_close(method.decode(prior_codes(method, n=3, seed=4)), expected)
    with pytest.raises(UserError, match="cannot be brought back"):
        method.convert_code(code, "w_rows_plus", "z")
    with pytest.raises(UserError, match="none of this model's spaces"):
        method.decode(code, "w_plus")


@pytest.mark.parametrize("options", ["overparam", PER_LAYER])
def test_mean_is_one_style_for_all_rows(options: str) -> None:
    method = method_of(options)
    space = method.code_space
    mean = mean_code(method, space, 300)
    assert tuple(mean.shape[1:]) == method.spaces[space].shape
    assert torch.equal(mean, mean[..., :1, :].expand_as(mean))
    torch.testing.assert_close(
        mean[..., 0, :].flatten(0, -2).mean(0), prior_codes(method, space, 300).flatten(0, -2).mean(0)
    )
    torch.testing.assert_close(
        mean[..., 0, :].flatten(0, -2), method.mean_style().expand(mean[..., 0, 0].numel(), -1), rtol=0.3, atol=0.3
    )
    wide = mean_code(method, "w_rows_plus", 300)
    torch.testing.assert_close(method.decode(wide, "w_rows_plus"), method.decode(mean, space))
    assert not torch.allclose(method.sample(2, truncation=0.5), method.sample(2))
    torch.testing.assert_close(method.sample(2, truncation=0.0)[0], method.sample(2, truncation=0.0)[1])


def test_path_length_metric_walks_through_matrices() -> None:
    class Subject:
        """What the metric asks of one."""

        def __init__(self, model: PhasedModule) -> None:
            self.autoencoder = model

        def drawn(self, lengths: Any, count: int, seed: int, _: str) -> Tensor:
            return lengths(count, seed)

        def gather(self, values: Tensor) -> Tensor:
            return values

    method = tiny("overparam")[0].float().eval().requires_grad_(False)
    for space in ("w", "z"):
        metric = PerceptualPathLength(name="ppl", distance=SquaredL2(), num_pairs=6, space=space)
        assert metric(Subject(method)).value > 0  # type: ignore[arg-type]


@pytest.mark.parametrize("rho", [-0.1, 1.5])
def test_impossible_correlations_are_refused(rho: float) -> None:
    with pytest.raises(Exception, match=f"method.codes.rho={rho}"):
        tiny(f"overparam method.codes.rho={rho}")


MATRIX = "method/generator=overparam method/encoder=matrix"


@pytest.mark.parametrize("num_codes", [1, 4])
def test_codes_of_the_matrix_encoder_are_codes_of_the_generator(num_codes: int) -> None:
    method = tiny(f"joint_ae {MATRIX} method.encoder.num_codes={num_codes}")[0]
    assert method.code_space == ("w_rows" if num_codes == 1 else "w_rows_plus")
    x = images(method)
    codes = method.encode(x)
    assert method.spaces[method.code_space].check(codes) is codes
    step = Step(x, method.draws("AE", 0, x))
    torch.testing.assert_close(method.decode(codes), method.reconstruct(step))


@pytest.mark.parametrize(
    "options",
    [
        "method/generator=overparam",
        "method/encoder=matrix",
        f"{MATRIX} method.encoder.num_codes=3",
        f"{MATRIX} method.codes.own_per_layer=true",
    ],
)
def test_encoders_into_other_spaces_are_refused(options: str) -> None:
    with pytest.raises(Exception, match="method/encoder gives codes"):
        tiny(f"joint_ae {options}")


def test_critic_of_other_codes_is_refused() -> None:
    method = tiny(f"alae {MATRIX}")[0]
    with pytest.raises(UserError, match="set its num_codes"):
        method.training_step({"image": images(method)}, 0)
    method = tiny(f"alae {MATRIX} method.discriminator.num_codes={method.synthesis.rows}")[0]
    method.training_step({"image": images(method)}, 0)
