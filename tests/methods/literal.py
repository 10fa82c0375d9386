"""Slow, literal transcriptions of one iteration: Algorithms 1 and 2 of AE-StyleGAN, the order of ALAE, two-stage.

They share the networks with the methods, as functions of their weights, and nothing else: every loss is written out
with softplus, means and norms, differentiated by ``autograd.grad`` for the networks that a line of the algorithm
names, and Adam, weight averages, lazy regularisers and the cutting of draws are their formulas. Options are read from
the configuration. Where paper and released code differ, the transcription follows what
the methods say is their default: the non-saturating loss of G, and ``+ lambda softplus(-D(G(E(x))))`` in Equations 2
and 6.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor, nn
from torch.autograd import grad
from torch.nn.functional import softplus

Drawn = Mapping[tuple[str, int], Mapping[str, Any]]
"""The recorded draws of an iteration, by phase and repetition, by name."""

REGULARISER = {"mapping": "path_length", "synthesis": "path_length", "discriminator": "r1", "rec_discriminator": "r1"}
"""The lazy regulariser that gives the Adam of a network additional steps; that of E and the code critic has none."""


@dataclass
class Moments:
    """Adam's state of one parameter."""

    first: Tensor
    second: Tensor
    steps: int = 0


class Literal:
    """Networks, Adam's moments, averaged weights and the clock, moved by :meth:`iteration`.

    Args:
        networks: copied.
        averaged: averaged networks, copied.
        config: the method's configuration.
        features: the perception network h of Equation 2.
    """

    def __init__(
        self,
        networks: Mapping[str, nn.Module],
        averaged: Mapping[str, nn.Module],
        config: DictConfig,
        features: Callable[[Tensor], Tensor],
    ) -> None:
        self.networks: dict[str, Any] = {name: deepcopy(network) for name, network in networks.items()}
        self.averaged = {name: deepcopy(network) for name, network in averaged.items()}
        self.config = config
        self.h = features
        self.F, self.G, self.D = (self.networks[name] for name in ("mapping", "synthesis", "discriminator"))
        self.E = self.networks["encoder"]
        self.moments: dict[str, Moments] = {}
        self.path_mean = torch.zeros((), dtype=torch.float64)
        self.iterations = self.images_seen = 0
        self.gradients: list[tuple[str, dict[str, Tensor]]] = []
        """Of the last iteration: the name of each step and the gradients it was taken with."""
        self.records: dict[str, list[float]] = {}
        """Of the last iteration: what the methods record, once for each time."""

    def iteration(self, images: Tensor, drawn: Drawn) -> None:
        """One iteration of the method of this configuration."""
        self.drawn, self.gradients, self.records = drawn, [], {}
        self.batches = list(images.chunk(self.config.e_steps))
        algorithm: Callable[[], None] = getattr(self, self.config.name)
        algorithm()
        self.iterations += 1
        self.images_seen += len(self.batches[0])
        self.move_averages()

    # -- the algorithms ----------------------------------------------------------------------------------------------

    def joint_ae(self) -> None:
        """Algorithm 2."""
        x, weights = self.batches[0], self.config.weights
        # Step I. Update D (Equation 5)
        real, fake, rec = self.D(x), self.D(self.sample("D")), self.D(self.reconstruct("D", 0, x))
        loss = softplus(-real).mean() + weights.rec * softplus(rec).mean()
        loss = loss + weights.fake * self.generated_term(x, fake)
        self.record(**{"score/real": real, "score/fake": fake, "score/rec": rec})
        self.record(**{"health/real_sign": real.sign(), "loss/D": loss})
        self.update("D", ["discriminator"], loss)
        self.r1("D_r1", ["discriminator"], self.D, "loss/r1")
        # Step II. Update E, G (Equation 2 or 6)
        self.code_critic(x)
        for k, batch in enumerate(self.batches):
            self.autoencode(k, batch, self.D)
        # Step III. Update F, G
        self.generate(self.D)

    def decoupled_ae(self) -> None:
        """Algorithm 1."""
        x, d2 = self.batches[0], self.networks["rec_discriminator"]
        # Step I. Update D1 (Equation 1), D2 (Equation 4)
        real, fake = self.D(x), self.D(self.sample("D"))
        loss = softplus(-real).mean() + self.generated_term(x, fake)
        self.record(**{"score/real": real, "score/fake": fake, "health/real_sign": real.sign(), "loss/D": loss})
        self.update("D", ["discriminator"], loss)
        self.r1("D_r1", ["discriminator"], self.D, "loss/r1")
        for k, batch in enumerate(self.batches):
            real, rec = d2(batch), d2(self.reconstruct("D2", k, batch))
            loss = softplus(-real).mean() + softplus(rec).mean()
            self.record(**{"score/real_D2": real, "score/rec": rec, "loss/D2": loss})
            self.update("D2", ["rec_discriminator"], loss)
        self.r1("D2_r1", ["rec_discriminator"], d2, "loss/r1_D2")
        # Step II. Update E (Equation 2)
        self.code_critic(x)
        for k, batch in enumerate(self.batches):
            self.autoencode(k, batch, d2)
        # Step III. Update F, G
        self.generate(self.D)

    def two_stage(self) -> None:
        """In-domain inversion: E, then D, for a G that stays as it is."""
        x = self.batches[0]
        self.code_critic(x)
        for k, batch in enumerate(self.batches):
            self.autoencode(k, batch, self.D)
        real, rec = self.D(x), self.D(self.reconstruct("D", 0, x))
        loss = softplus(-real).mean() + softplus(rec).mean()
        self.record(**{"score/real": real, "score/rec": rec, "health/real_sign": real.sign(), "loss/D": loss})
        self.update("D", ["discriminator"], loss)
        self.r1("D_r1", ["discriminator"], self.D, "loss/r1")

    def alae(self) -> None:
        """The released code's order: D and E; R1; F and G; path length; reconstruction of the code last."""
        x = self.batches[0]

        def judge(images: Tensor) -> Tensor:
            logits: Tensor = self.D(self.E(images))
            return logits

        real, fake = judge(x), judge(self.sample("D"))
        loss = softplus(-real).mean() + self.generated_term(x, fake, judge)
        self.record(**{"score/real": real, "score/fake": fake, "health/real_sign": real.sign(), "loss/D": loss})
        self.update("D", ["discriminator", "encoder"], loss)
        self.r1("D_r1", ["discriminator", "encoder"], judge, "loss/r1")
        self.generate(judge)
        trained = ["encoder"]
        trained += ["synthesis"] if self.config.joint else []
        trained += ["mapping"] if self.config.train_mapping else []
        for k in range(self.config.e_steps):
            self.update("L", trained, self.code_loss("L", k))

    # -- their lines -------------------------------------------------------------------------------------------------

    def generated_term(self, x: Tensor, fake: Tensor, judge: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """``lambda A(D(G(F(z)))) + (1 - lambda) A(D(jigsaw(x)))`` of Equation 3, with lambda = 1 without negatives."""
        if self.config.get("nda") is None:
            return softplus(fake).mean()
        share = self.config.nda.weight
        distorted = (judge or self.D)(jigsaw(x, self.drawn["D", 0]["jigsaw"]))
        self.record(**{"score/nda": distorted})
        return (1 - share) * softplus(fake).mean() + share * softplus(distorted).mean()

    def r1(self, step: str, names: Sequence[str], judge: Callable[[Tensor], Tensor], name: str) -> None:
        """``gamma / 2 * E |grad D(x)|^2`` on real images, every k-th iteration with k-fold weight."""
        options = self.config.r1
        if options is None or self.iterations % options.every:
            return
        x = self.batches[0].clone().requires_grad_()
        (slope,) = grad(judge(x).sum(), x, create_graph=True)
        penalty = torch.stack([(image**2).sum() for image in slope]).mean()
        self.record(**{name: penalty})
        self.update(step, names, options.weight / 2 * options.every * penalty)

    def autoencode(self, k: int, x: Tensor, judge: Callable[[Tensor], Tensor]) -> None:
        """Equation 2, or 6 with an adaptive beta, of which the adversarial term is printed with the wrong sign."""
        weights = self.config.weights
        codes = self.E(x)
        rec = self.synthesise(codes, self.drawn["AE", k]["rec_noise"])
        pixel = {
            "mse": lambda: ((x - rec) ** 2).mean(),
            "l1": lambda: (x - rec).abs().mean(),
            "l2norm": lambda: torch.stack([((a - b) ** 2).sum().sqrt() for a, b in zip(x, rec, strict=True)]).mean(),
        }[self.config.pixel_loss]()
        perceptual = ((self.h(x) - self.h(rec)) ** 2).mean()
        loss = rec_loss = weights.pixel * pixel + weights.perceptual * perceptual
        spread = codes.flatten(1).std(dim=0, correction=0).median()
        self.record(**{"health/code_std": codes.std(), "health/code_spread": spread, "loss/pixel": pixel})
        if weights.perceptual > 0:
            self.record(**{"loss/perceptual": perceptual})
        if weights.adversarial > 0:
            adversarial = weights.adversarial * softplus(-judge(rec)).mean()
            self.record(**{"loss/AE_adv": adversarial})
            loss = rec_loss + self.beta(rec_loss, adversarial) * adversarial
        if weights.latent > 0:
            loss = loss + weights.latent * self.code_loss("AE", k)
        if "code_critic" in self.networks:
            correlation = self.networks["code_critic"](codes.flatten(1)).mean()
            self.record(**{"loss/total_correlation": correlation})
            loss = loss + weights.total_correlation * correlation
        self.update("AE", ["encoder", "synthesis"] if self.config.joint else ["encoder"], loss)

    def beta(self, rec_loss: Tensor, adversarial: Tensor) -> float:
        """``|grad L_rec| / (|grad L_adv| + eps)`` at the last ToRGB and the last convolution of G, up to a maximum."""
        options = self.config.beta
        if options is None or self.images_seen / 1000 < options.start_kimg:
            return 1.0
        weights = dict(self.G.named_parameters())
        last = [weights["to_rgbs.1.weight"]] + ([] if options.rgb_only else [weights["convs.2.conv.weight"]])
        assert not {"to_rgbs.2.weight", "convs.3.conv.weight"} & set(weights)
        norms = [norm(grad(loss, last, retain_graph=True)) for loss in (rec_loss, adversarial)]
        beta = min(norms[0] / (norms[1] + options.eps), options.maximum)
        self.record(**{"health/beta": beta})
        return beta * float(self.config.weights.adversarial) if options.rescale else beta

    def generate(self, judge: Callable[[Tensor], Tensor]) -> None:
        """F and G on samples, then lazy path length."""
        fake = judge(self.sample("G"))
        loss = -softplus(fake).mean() if self.config.saturating else softplus(-fake).mean()
        self.record(**{"loss/G": loss})
        self.update("G", ["mapping", "synthesis"], loss)
        options = self.config.path_length
        if options is not None and self.iterations % options.every == 0:
            self.lengthen(options)

    def lengthen(self, options: DictConfig) -> None:
        """Path length: ``E (|J^T y| - mean)^2`` on half a batch; the running mean moves first, with its gradient."""
        drawn = self.drawn["G_path", 0]
        ws = self.styles(drawn, self.config.style_mixing)
        images = self.paint(ws, drawn["noise"])
        assert len(images) == max(1, len(self.batches[0]) // 2)
        y = drawn["path_direction"] / math.sqrt(images.shape[2] * images.shape[3])
        (slope,) = grad((images * y).sum(), ws, create_graph=True)
        lengths = torch.stack([torch.stack([(row**2).sum() for row in rows]).mean().sqrt() for rows in slope])
        mean = 0.99 * self.path_mean + 0.01 * lengths.mean()
        penalty = ((lengths - mean) ** 2).mean()
        self.path_mean = mean.detach()
        self.record(**{"loss/path": penalty, "health/path_length": mean})
        self.update("G_path", ["mapping", "synthesis"], options.weight * options.every * penalty)

    def code_loss(self, step: str, k: int) -> Tensor:
        """``mean (E(G(w)) - w)^2`` with the target w detached; styles are mixed only for an encoder into W+."""
        drawn = self.drawn[step, k]
        ws = self.styles(drawn, self.config.style_mixing if self.E.num_codes > 1 else 0.0)
        codes = self.E(self.paint(ws, drawn["noise"]))
        target = (ws if self.E.num_codes > 1 else ws[:, :1]).detach()
        loss = ((codes - target) ** 2).mean()
        self.record(**{"loss/latent": loss})
        return loss

    def code_critic(self, x: Tensor) -> None:
        """FactorVAE's critic: codes against codes whose dimensions are permuted over the batch."""
        if "code_critic" not in self.networks:
            return
        critic, codes = self.networks["code_critic"], self.E(x).flatten(1).detach()
        columns = [codes[self.drawn["C", 0]["permutation"][:, j].argsort(), j] for j in range(codes.shape[1])]
        loss = softplus(-critic(codes)).mean() + softplus(critic(torch.stack(columns, dim=1))).mean()
        self.record(**{"loss/C": loss})
        self.update("C", ["code_critic"], loss)

    # -- images ------------------------------------------------------------------------------------------------------

    def sample(self, step: str) -> Tensor:
        """``G(F(z))``."""
        return self.paint(self.styles(self.drawn[step, 0], self.config.style_mixing), self.drawn[step, 0]["noise"])

    def reconstruct(self, step: str, k: int, x: Tensor) -> Tensor:
        """``G(E(x))``."""
        return self.synthesise(self.E(x), self.drawn[step, k]["rec_noise"])

    def styles(self, drawn: Mapping[str, Any], mixing: float) -> Tensor:
        """``F(z)`` for every layer; with this probability the layers from a random one on are of a second code."""
        layers = 2 * int(math.log2(self.G.resolution)) - 2
        rows = [self.F(drawn["z"])] * layers
        if drawn["mix"] < mixing:
            first = 1 + int(drawn["crossover"] * (layers - 1))
            rows = rows[:first] + [self.F(drawn["z2"])] * (layers - first)
        return torch.stack(rows, dim=1)

    def synthesise(self, codes: Tensor, noise: Tensor) -> Tensor:
        """G of E's codes: one style serves all layers."""
        return self.paint(torch.cat([codes] * self.G.num_ws, 1) if self.E.num_codes == 1 else codes, noise)

    def paint(self, ws: Tensor, noise: Tensor) -> Tensor:
        """G with the noise of each image cut into its layers: one of 4 x 4, then two of each size."""
        sides = [4] + [2**level for level in range(3, int(math.log2(self.G.resolution)) + 1) for _ in range(2)]
        layers, start = [], 0
        for side in sides:
            layers.append(noise[:, start : start + side**2].reshape(-1, 1, side, side))
            start += side**2
        assert start == noise.shape[1]
        images: Tensor = self.G(ws, layers)
        return images

    # -- weights -----------------------------------------------------------------------------------------------------

    def update(self, step: str, names: Sequence[str], loss: Tensor) -> None:
        """``theta <- ADAM(grad_theta L, theta)`` for the named networks."""
        theta = {f"{name}.{key}": p for name in names for key, p in self.networks[name].named_parameters()}
        slopes = grad(loss, list(theta.values()), allow_unused=True)
        found = {name: slope for name, slope in zip(theta, slopes, strict=True) if slope is not None}
        self.gradients.append((step, found))
        self.record(**{f"grad_norm/{step}": norm(found.values())})
        for name, slope in found.items():
            self.adam(name, theta[name].data, slope)

    def adam(self, name: str, theta: Tensor, slope: Tensor) -> None:
        """Adam (Kingma and Ba), with rate and decays for ``every + 1`` steps in ``every`` iterations."""
        regulariser = REGULARISER.get(name.split(".")[0])
        lazy = self.config[regulariser] if regulariser else None
        c = 1.0 if lazy is None else lazy.every / (lazy.every + 1)
        rate, beta1, beta2 = self.config.lr * c, self.config.betas[0] ** c, self.config.betas[1] ** c
        m = self.moments.setdefault(name, Moments(torch.zeros_like(theta), torch.zeros_like(theta)))
        m.steps += 1
        m.first = beta1 * m.first + (1 - beta1) * slope
        m.second = beta2 * m.second + (1 - beta2) * slope**2
        theta -= rate * (m.first / (1 - beta1**m.steps)) / ((m.second / (1 - beta2**m.steps)).sqrt() + 1e-8)

    def move_averages(self) -> None:
        """Averaged weights with a half-life in images that grows with the images seen, up to its full length."""
        options, batch = self.config.ema, len(self.batches[0])
        half_life = 1000 * options.half_life_kimg
        if options.rampup is not None:
            half_life = min(half_life, options.rampup * self.images_seen)
        decay = 0.5 ** (batch / half_life)
        for name, network in self.averaged.items():
            for mine, theirs in zip(network.parameters(), self.networks[name].parameters(), strict=True):
                mine.data = decay * mine.data + (1 - decay) * theirs.data

    def record(self, **values: Tensor | float) -> None:
        """Keeps these numbers and the means of these tensors."""
        for name, value in values.items():
            number = value.detach().mean() if isinstance(value, Tensor) else value
            self.records.setdefault(name, []).append(float(number))


def norm(tensors: Any) -> float:
    """Euclidean norm over all elements of all tensors."""
    return math.sqrt(sum(float((t.detach() ** 2).sum()) for t in tensors))


def jigsaw(x: Tensor, uniforms: Tensor) -> Tensor:
    """Each image's quarters in the wrong order that its number in [0, 1) picks from the 23 in lexicographic order."""
    wrong = [order for order in permutations(range(4)) if order != (0, 1, 2, 3)]
    h, w = x.shape[2] // 2, x.shape[3] // 2
    corners = [(0, 0), (0, w), (h, 0), (h, w)]
    out = torch.empty_like(x)
    for i in range(len(x)):
        order = wrong[int(uniforms[i] * 23)]
        for (top, left), source in zip(corners, order, strict=True):
            y, z = corners[source]
            out[i, :, top : top + h, left : left + w] = x[i, :, y : y + h, z : z + w]
    return out
