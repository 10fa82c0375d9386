"""A slow, literal transcription of one iteration of AAE and of each change that IAAE makes to it.

It shares nothing with the methods but the weights that it starts from: the networks are written as matrices, batch
normalisation, dropout and Adam as their formulas, and each loss as the paper prints it, with logarithms of sigmoids.
Options are read from the configuration. Where paper and code differ, it follows what the methods say is their default.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor, nn
from torch.autograd import grad
from torch.distributions import Normal, kl_divergence
from torch.nn.functional import logsigmoid

Layer = dict[str, Tensor]
Drawn = Mapping[tuple[str, int], Mapping[str, Any]]
"""The recorded draws of an iteration, by phase and repetition, by name."""


def layers_of(network: nn.Module) -> list[Layer]:
    """Copies of the tensors of each layer that has any, in order."""
    modules = network.modules()
    found = [{**dict(m.named_parameters(recurse=False)), **dict(m.named_buffers(recurse=False))} for m in modules]
    return [{name: value.detach().clone() for name, value in layer.items()} for layer in found if layer]


def leaky(x: Tensor) -> Tensor:
    return torch.maximum(x, 0.2 * x)


class LiteralAAE:
    """Weights, Adam's moments and running statistics, moved by :meth:`iteration`.

    Args:
        networks: encoder, decoder and discriminator with the backbone ``mlp``.
        config: the method's configuration.
    """

    def __init__(self, networks: Mapping[str, nn.Module], config: DictConfig) -> None:
        self.networks = {name: layers_of(network) for name, network in networks.items()}
        self.config = config
        self.moments: dict[tuple[str, int], tuple[Any, Any, int]] = {}
        self.gradients: list[tuple[str, list[Tensor]]] = []
        """Of the last iteration, a list for each step: its phase, and the gradients in the order of the networks."""
        self.losses: dict[str, list[float]] = {}

    # -- networks --------------------------------------------------------------------------------------------------

    def linear(self, layer: Layer, x: Tensor) -> Tensor:
        """``W x + b``, or equalised ``gamma W x + gamma b``."""
        layers = self.config.encoder.layers
        if not layers._target_.endswith("Equal"):
            return x @ layer["weight"].T + layer["bias"]
        gamma = x.shape[1] ** -0.5
        return gamma * x @ layer["weight"].T + (gamma if layers.scale_bias else 1.0) * layer["bias"]

    def hidden(self, layer: Layer, norm: Layer | None, x: Tensor, move: bool) -> Tensor:
        """A linear layer, batch normalisation where there is one, and the activation."""
        x = self.linear(layer, x)
        if norm is not None:
            mean = x.mean(dim=0)
            variance = ((x - mean) ** 2).mean(dim=0)
            if move:
                count = len(x)
                norm["running_mean"] = 0.9 * norm["running_mean"] + 0.1 * mean.detach()
                norm["running_var"] = 0.9 * norm["running_var"] + 0.1 * variance.detach() * count / (count - 1)
                norm["num_batches_tracked"] += 1
            x = (x - mean) / (variance + 1e-5).sqrt() * norm["weight"] + norm["bias"]
        return leaky(x)

    def E(  # noqa: N802 (the paper's letter)
        self, x: Tensor, layers: list[Layer] | None = None, move: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Mu and sigma; ``move``: running statistics follow this batch."""
        first, second, *norm, mu, sigma = layers or self.networks["encoder"]
        x = self.hidden(first, None, x.flatten(1), move)
        x = self.hidden(second, norm[0] if norm else None, x, move)
        raw, options = self.linear(sigma, x), self.config.encoder.sigma
        forms = {
            "Linear": lambda: raw,
            "Softplus": lambda: (1 + raw.exp()).log(),
            "Exponential": lambda: raw.exp().sqrt(),
            "Floor": lambda: (raw**2 + options.least**2) ** 0.5,
            "Fixed": lambda: torch.full_like(raw, options.value),
        }
        return self.linear(mu, x), forms[options._target_.rpartition(".")[2]]()

    def Dec(self, z: Tensor, move: bool = False) -> Tensor:  # noqa: N802
        """Pixels (N, all of them) of codes."""
        depth = self.config.decoder.mapping_depth
        first, second, *norm, last = self.networks["decoder"][depth:]
        for layer in self.networks["decoder"][:depth]:
            z = self.hidden(layer, None, z, move)
        z = self.hidden(first, None, z, move)
        return torch.tanh(self.linear(last, self.hidden(second, norm[0] if norm else None, z, move)))

    def D(self, z: Tensor, keep: Tensor) -> Tensor:  # noqa: N802
        """The log-odds that a code is of the prior, with dropout."""
        *hidden, head = self.networks["discriminator"]
        for layer in hidden:
            z = leaky(z @ layer["weight"].T + layer["bias"])
            kept, keep = keep[:, : z.shape[1]], keep[:, z.shape[1] :]
            z = z * kept / (1 - self.config.discriminator.dropout)
        assert keep.shape[1] == 0
        return z @ head["weight"].T + head["bias"]

    # -- one iteration ---------------------------------------------------------------------------------------------

    def iteration(self, x: Tensor, drawn: Drawn) -> None:
        """AE, then D (n times), then E."""
        self.gradients, self.losses = [], {}
        for tensor in self.parameters(list(self.networks)):
            tensor.requires_grad_()
        self.reconstruct(x.flatten(1), **drawn["AE", 0])
        for repeat in range(self.config.d_steps):
            self.discriminate(x, **drawn["D", repeat])
        self.deceive(x, **drawn["E", 0])

    def reconstruct(self, x: Tensor, eps: Tensor) -> None:
        """``|x - Dec(E(x))|``, and ``|E(x) - E(Dec(E(x)))|``."""
        mu, sigma = self.E(x, move=True)
        rec = self.Dec(mu + eps * sigma, move=True)
        loss = self.note("pixel", (x - rec).abs().mean())
        if options := self.config.feature:
            layers = self.networks["encoder"]
            if options.freeze_encoder:
                mu, layers = mu.detach(), [{key: value.detach() for key, value in layer.items()} for layer in layers]
            again, _ = self.E(rec, layers)
            loss = options.pixel * loss + options.feature * self.note("feature", (mu - again).abs().mean())
        self.step("AE", ["encoder", "decoder"], loss)

    def discriminate(self, x: Tensor, eps: Tensor, z: Tensor, keep_prior: Tensor, keep_posterior: Tensor) -> None:
        """``-E log D(z) - E log(1 - D(E(x)))``, and the printed KLD, which depends on E only.

        The logarithm of ``1 - D`` is that of D at the negative log-odds.
        """
        mu, sigma = self.E(x)
        codes = mu + eps * sigma
        loss = -logsigmoid(self.D(z, keep_prior)).mean() - logsigmoid(-self.D(codes, keep_posterior)).mean()
        self.note("D", loss)
        if (kld := self.config.kld) and kld.legacy:
            q = (codes.exp() / codes.exp().sum(dim=1, keepdim=True)).log()
            terms = [p * (p.log() - log_q) for p, log_q in zip(z.flatten(), q.flatten(), strict=True) if p > 0]
            loss = loss + kld.weight * self.note("kld", torch.stack(terms).sum() / z.numel())
        self.step("D", ["discriminator"], loss)

    def deceive(self, x: Tensor, eps: Tensor, keep_posterior: Tensor) -> None:
        """``-E log D(E(x))``, the effective KLD, and that of each image's posterior."""
        mu, sigma = self.E(x, move=True)
        loss = self.note("E_adv", -logsigmoid(self.D(mu + eps * sigma, keep_posterior)).mean())
        prior = Normal(torch.zeros_like(mu[0]), torch.ones_like(mu[0]))
        if (kld := self.config.kld) and not kld.legacy:
            # the variance of a mixture: that of the means, and the mean one
            codes = Normal(mu.mean(dim=0), (mu.var(dim=0, correction=0) + (sigma**2).mean(dim=0)) ** 0.5)
            pair = (prior, codes) if kld.from_prior else (codes, prior)
            loss = loss + kld.weight * self.note("kld", kl_divergence(*pair).sum())
        if weight := self.config.posterior_kl:
            each = kl_divergence(Normal(mu, sigma.abs()), prior).sum(dim=1)
            loss = loss + weight * self.note("posterior_kl", each.mean())
        self.step("E", ["encoder"], loss)

    # -- weights ---------------------------------------------------------------------------------------------------

    def note(self, name: str, loss: Tensor) -> Tensor:
        self.losses.setdefault(f"loss/{name}", []).append(loss.item())
        return loss

    def parameters(self, names: Sequence[str]) -> list[Tensor]:
        """The trained tensors of these networks, in order."""
        return [layer[key] for name in names for layer in self.networks[name] for key in ("weight", "bias")]

    def buffers(self, names: Sequence[str]) -> list[Tensor]:
        """The others."""
        tensors = [layer.items() for name in names for layer in self.networks[name]]
        return [value.detach() for layer in tensors for key, value in layer if key not in ("weight", "bias")]

    def step(self, phase: str, names: Sequence[str], loss: Tensor) -> None:
        """Adam (Kingma and Ba) on these networks, with the moments of this phase."""
        parameters = self.parameters(names)
        slopes = grad(loss, parameters, allow_unused=True)
        self.gradients.append((phase, [slope for slope in slopes if slope is not None]))
        beta1, beta2 = self.config.betas
        for place, (theta, slope) in enumerate(zip(parameters, slopes, strict=True)):
            if slope is None:
                continue
            m, v, t = self.moments.get((phase, place), (0.0, 0.0, 0))
            m, v, t = beta1 * m + (1 - beta1) * slope, beta2 * v + (1 - beta2) * slope**2, t + 1
            self.moments[phase, place] = m, v, t
            theta.data -= self.config.lr * (m / (1 - beta1**t)) / ((v / (1 - beta2**t)).sqrt() + 1e-8)
