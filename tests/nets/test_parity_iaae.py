"""Networks and losses of AAE against the reference's numbers, through the method's own phases."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from aestyle.engine.draws import RecordedDraws
from aestyle.engine.phases import Step, only_trainable
from aestyle.methods.aae import AAE
from aestyle.nets.aae import CodeDiscriminator, Decoder, Encoder
from aestyle.nets.aae_layers import Equal, Plain

from . import parity

CASES = {"vanilla": "iaae_32", "equal_linear": "iaae_8_variants", "latent_mapping": "iaae_8_variants"}


def take(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Loads a state whose tensors have other names and the same order."""
    network.load_state_dict(dict(zip(network.state_dict(), state.values(), strict=True)))


class Case:
    """A model with the weights of the fixture, and the fixture's numbers."""

    def __init__(self, name: str) -> None:
        numbers = parity.load(CASES[name])
        self.inputs: dict[str, Any] = numbers["inputs"]
        self.outputs: dict[str, Any] = numbers["outputs"][name]
        self.state: dict[str, dict[str, Tensor]] = numbers["state"][name]
        resolution, latent_dim = numbers["config"]["image_shape"][1], numbers["config"]["latent_dim"]
        layers = Equal(scale_bias=False) if name == "equal_linear" else Plain()
        depth = 4 if name == "latent_mapping" else 0
        self.model = AAE(
            encoder=Encoder(resolution, 3, latent_dim, layers),
            decoder=Decoder(resolution, 3, latent_dim, layers, depth),
            discriminator=CodeDiscriminator(latent_dim, numbers["config"]["dropout"]),
            lr=1e-4,
            betas=(0.9, 0.999),
        )
        for network, state in self.state.items():
            take(self.model.networks[network], state)

    def step(self, phase: str, dropout: bool) -> Step:
        """The fixture's images and draws in the form in which the phase asks for them."""
        eps = self.inputs[{"AE": "eps", "D": "eps_d", "E": "eps_g"}[phase]]
        posterior = self.inputs["d_masks_posterior" if phase == "D" else "d_masks_generator"]
        masks = {"keep_prior": self.inputs["d_masks_prior"], "keep_posterior": posterior}
        keep = {name: torch.cat(mask, dim=1).bool() for name, mask in masks.items()}
        if not dropout:
            self.model.discriminator.dropout = 0.0
            keep = {name: torch.ones_like(mask) for name, mask in keep.items()}
        return Step(self.inputs["x"], RecordedDraws({"eps": eps, "z": self.inputs["z_prior"], **keep}))

    def gradients(self, network: str) -> dict[str, Tensor | None]:
        """Gradients under the reference's names."""
        names = [name for name in self.state[network] if "running" not in name and "tracked" not in name]
        return dict(zip(names, (p.grad for p in self.model.networks[network].parameters()), strict=True))


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return Case(request.param)


def checksum(images: Tensor) -> Tensor:
    flat = images.detach().double().flatten()
    return (flat * torch.cos(0.7 * torch.arange(len(flat), dtype=torch.float64) + 0.3)).sum()


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_outputs(case: Case, mode: str) -> None:
    model, expected = case.model.train(mode == "train"), case.outputs[mode]
    posterior = model.encoder(case.inputs["x"])
    z = posterior.sample(case.inputs["eps"])
    rec = model.decoder(z)
    for name, value in {**posterior._asdict(), "z": z, "rec": rec[:2], "rec_checksum_cos": checksum(rec)}.items():
        parity.assert_values(value, expected[name])
    for network in ("encoder", "decoder"):
        after = dict(zip(case.state[network], model.networks[network].state_dict().values(), strict=True))
        for name, buffer in expected.get(f"{network}_bn_after", {}).items():
            parity.assert_values(after[name], buffer)
    parity.assert_values(model.discriminator(z).sigmoid(), expected["d_posterior"])
    parity.assert_values(model.discriminator(case.inputs["z_prior"]).sigmoid(), expected["d_prior"])
    parity.assert_values(model.decoder(case.inputs["z_prior"])[:2], expected["decode_prior"])


@pytest.mark.parametrize("dropout", [False, True])
def test_losses_and_gradients(case: Case, dropout: bool) -> None:
    losses = case.outputs["losses_fixed_state_no_dropout"]
    masked = case.outputs["losses_fixed_state_masked_dropout"] if dropout else losses
    expected = {
        "AE": (losses["recon_l1"], {"encoder": losses["recon_grad_encoder"], "decoder": losses["recon_grad_decoder"]}),
        "D": (masked["d_loss"], {"discriminator": masked["d_grad"]}),
        "E": (masked["g_loss"], {"encoder": masked["g_grad_encoder"]}),
    }
    for phase in case.model.phases():
        case.model.zero_grad()
        with only_trainable(case.model.networks, phase.networks):
            loss = phase.loss(case.step(phase.name, dropout))
            loss.backward()
        value, gradients = expected[phase.name]
        parity.assert_values(loss, value)
        assert set(gradients) == set(phase.networks)
        for network, gradient in gradients.items():
            parity.assert_gradients(case.gradients(network), gradient)


def test_iteration(case: Case) -> None:
    """AE, D, E with three optimizers: the losses of the later steps hear of the earlier ones."""
    optimizers = case.model.configure_optimizers()
    case.model.optimizers = lambda: optimizers  # type: ignore[method-assign,assignment,return-value]
    case.model.manual_backward = lambda loss: loss.backward()  # type: ignore[method-assign]
    case.model.draws = lambda phase, repeat, images: case.step(phase, True).draws  # type: ignore[method-assign]
    case.model.training_step({"image": case.inputs["x"]}, 0)
    expected = case.outputs["iteration"]
    losses = {"loss/pixel": expected["recon_l1"], "loss/D": expected["d_losses"][0], "loss/E_adv": expected["g_loss"]}
    for name, value in losses.items():
        parity.assert_values(case.model.batch_stats[name], value)
    assert case.model.bad_steps == 0


def test_the_paper_scales_biases_too() -> None:
    """``Equal()`` is the reference with every bias of a linear layer divided by the root of its width."""
    case = Case("equal_linear")
    other = Encoder(8, 3, 10, Equal())
    take(other, case.state["encoder"])
    for module in other.modules():
        if hasattr(module, "lr_mul"):
            module.bias.data *= module.weight.shape[1] ** 0.5
    parity.assert_values(other(case.inputs["x"]).mu, case.outputs["train"]["mu"])
