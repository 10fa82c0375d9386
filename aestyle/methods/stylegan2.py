"""StyleGAN2 (Karras et al., 2020): the backbone and the baseline of AE-StyleGAN."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from aestyle.engine.augment import Augment, NoAugment
from aestyle.engine.distributed import rank, sum_over_ranks, world_size
from aestyle.engine.draws import Draws, sample_normal
from aestyle.engine.module import PhasedModule
from aestyle.engine.negatives import Jigsaw
from aestyle.engine.phases import Lazy, Phase, Step
from aestyle.errors import NotOffered, UserError
from aestyle.latents.spaces import Space, get_space
from aestyle.latents.style_codes import StyleCodes, StyleVectors
from aestyle.losses.adversarial import discriminator_loss, generator_loss
from aestyle.losses.regularizers import path_lengths, r1_penalty, running_mean
from aestyle.nets.convolution import differentiated_twice
from aestyle.nets.discriminator import Discriminator
from aestyle.nets.generator import Mapping as MappingNetwork
from aestyle.nets.generator import Synthesis, mix_styles, style_per_layer, truncate
from aestyle.nets.overparam import RowSynthesis


class StyleGAN2(PhasedModule):
    """StyleGAN2: D, lazy R1, G, lazy path length, in this order.

    Args:
        mapping: mapping network F.
        synthesis: synthesis network G.
        discriminator: discriminator D.
        r1: gamma and interval of R1 (reference: 10 every 16); None leaves it out.
        path_length: weight and interval of the path-length regulariser (reference: 2 every 4); None leaves it out.
        path_decay: step of the running mean of path lengths.
        style_mixing: probability that a batch is drawn with two codes per image.
        saturating: G minimises Equation 1 to the letter instead of the non-saturating loss.
        augment: augmentation of everything that D looks at, in every step of every network.
        nda: negative data augmentation: distorted real images among D's negatives (Equation 3); None leaves it out.
        codes: what z and w are; None: vectors. Matrices need a ``synthesis`` that takes them; then the path length of
            an image is the norm of the gradient of a whole matrix, root of the mean over layers (the paper on
            overparameterised StyleGAN does not say otherwise).
        **kwargs: see :class:`~aestyle.engine.module.PhasedModule`.
    """

    network_names: tuple[str, ...] = ("mapping", "synthesis", "discriminator")
    path_mean: Tensor

    def __init__(
        self,
        mapping: MappingNetwork,
        synthesis: Synthesis,
        discriminator: Discriminator,
        r1: Lazy | None = None,
        path_length: Lazy | None = None,
        path_decay: float = 0.01,
        style_mixing: float = 0.9,
        saturating: bool = False,
        augment: Augment | None = None,
        nda: Jigsaw | None = None,
        codes: StyleCodes | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.mapping = mapping
        self.synthesis = synthesis
        self.discriminator = discriminator
        self.r1 = r1
        self.path_length = path_length
        self.path_decay = path_decay
        self.style_mixing = style_mixing
        self.saturating = saturating
        self.augment = augment or NoAugment()
        self.nda = nda
        self.codes: StyleCodes = codes or StyleVectors()
        self.register_buffer("path_mean", torch.zeros(()))
        self.average("mapping", "synthesis")

    # -- training ----------------------------------------------------------------------------------------------------

    def phases(self) -> Sequence[Phase]:
        """One iteration of StyleGAN2."""
        return [*self.discriminator_phases(), *self.generator_phases()]

    def discriminator_phases(self) -> list[Phase]:
        """D and its lazy R1."""
        phases = [Phase("D", ("discriminator",), self.discriminator_loss)]
        if self.r1:
            phases.append(Phase("D_r1", ("discriminator",), self.r1_loss, every=self.r1.every))
        return phases

    def generator_phases(self) -> list[Phase]:
        """F and G and their lazy path-length regulariser."""
        phases = [Phase("G", ("mapping", "synthesis"), self.generator_loss)]
        if self.path_length:
            phases.append(
                Phase("G_path", ("mapping", "synthesis"), self.path_length_loss, every=self.path_length.every)
            )
        return phases

    def optimizer_groups(self) -> Mapping[str, tuple[tuple[str, ...], Lazy | None]]:
        """G's one Adam holds F and G."""
        return {"G": (("mapping", "synthesis"), self.path_length), "D": (("discriminator",), self.r1)}

    def discriminator_loss(self, step: Step) -> Tensor:
        """Real images against what D should take for generated."""
        negatives = self.negatives(step)
        images = {name: x for name, (x, _) in negatives.items()}
        real, *fakes = self.discriminate(step, real=step.real, **images)
        self.record_scores(real=real, **dict(zip(negatives, fakes, strict=True)))
        weights = [weight for _, weight in negatives.values()]
        loss = discriminator_loss(real, *zip(fakes, weights, strict=True))
        self.record("loss/D", loss)
        return loss

    def negatives(self, step: Step) -> dict[str, tuple[Tensor, float]]:
        """What D should take for generated, each with its weight: samples (Equation 1), distorted images (3)."""
        fake = self.generate(len(step.real), step.draws)
        if self.nda is None:
            return {"fake": (fake, 1.0)}
        return {"fake": (fake, 1 - self.nda.weight), "nda": (self.nda(step.real, step.draws), self.nda.weight)}

    @differentiated_twice()
    def r1_loss(
        self, step: Step, discriminate: Callable[..., list[Tensor]] | None = None, name: str = "loss/r1"
    ) -> Tensor:
        """Lazy R1: ``gamma / 2 * every * E |grad D(x)|^2``.

        Args:
            step: whose real images are looked at.
            discriminate: D with its augmentation; the default is :meth:`discriminate`.
            name: what the penalty is recorded as.
        """
        assert self.r1 is not None
        judge = discriminate or self.discriminate
        penalty = r1_penalty(lambda real: judge(step, real=real)[0], step.real)
        self.record(name, penalty)
        return self.r1.lazy_weight / 2 * penalty

    def generator_loss(self, step: Step) -> Tensor:
        """Equation 1 for F and G, non-saturating by default."""
        (logits,) = self.discriminate(step, fake=self.generate(len(step.real), step.draws))
        loss = generator_loss(logits, self.saturating)
        self.record("loss/G", loss)
        return loss

    @differentiated_twice()
    def path_length_loss(self, step: Step) -> Tensor:
        """Lazy path length on half the batch, around a running mean over all ranks.

        As in the reference, the new running mean enters the penalty with its gradient and is stored without.
        """
        assert self.path_length is not None
        total = max(1, len(step.real) * world_size() // 2)
        count = -(-(total - rank()) // world_size())  # samples of the global half batch that lie on this rank
        ws = self.styles(count, step.draws).requires_grad_()  # a frozen F leaves them without a graph
        images = self.synthesis(ws, self.noise(count, step.draws))
        direction = step.draws.normal("path_direction", images.shape[1:], count)
        lengths = path_lengths(images, ws, direction)
        mean = running_mean(sum_over_ranks(lengths.sum()) / total, self.path_mean, self.path_decay)
        self.path_mean = mean.detach()
        penalty = (lengths - mean).square().sum() * world_size() / total
        self.record("loss/path", penalty)
        self.record("health/path_length", mean)
        return self.path_length.lazy_weight * penalty

    def discriminate(self, step: Step, **batches: Tensor) -> list[Tensor]:
        """D's logits (N, 1) on each batch, augmented with draws keyed by the batch's name."""
        return self.discriminator.together(*(self.augment(x, step.draws, name) for name, x in batches.items()))

    def generate(self, count: int, draws: Draws) -> Tensor:
        """Samples G(F(z)) with style mixing and fresh noise: (count, C, R, R)."""
        return self.synthesis(self.styles(count, draws), self.noise(count, draws))

    def styles(self, count: int, draws: Draws, mixing: float | None = None) -> Tensor:
        """Styles of prior codes; one coin and one crossover for the whole batch.

        Args:
            count: how many.
            draws: random numbers of the step.
            mixing: probability of style mixing; the default is that of the training.

        Returns:
            (count, num_ws, ...).
        """
        ws = self.unmixed_styles("z", count, draws)
        if draws.uniform("mix") < (self.style_mixing if mixing is None else mixing):
            second = self.unmixed_styles("z2", count, draws)
            ws = mix_styles(ws, second, 1 + int(draws.uniform("crossover") * (self.synthesis.num_ws - 1)))
        return ws

    def unmixed_styles(self, name: str, count: int, draws: Draws) -> Tensor:
        """Styles (count, num_ws, ...) of one prior code per image, the draw ``name``."""
        z = self.codes.draw(self.synthesis, lambda part, shape: draws.normal(part, shape, count), name)
        return self.codes.styles(self.synthesis, self.mapping(z))

    def noise(self, count: int, draws: Draws, name: str = "noise") -> list[Tensor]:
        """Fresh noise for every layer, (count, 1, h, w) each, cut from the draw ``name`` of each image."""
        shapes = self.synthesis.noise_shapes
        if not shapes:
            return []
        sizes = [h * w for _, h, w in shapes]
        flat = draws.normal(name, (sum(sizes),), count)
        return [part.view(count, *shape) for part, shape in zip(flat.split(sizes, dim=1), shapes, strict=True)]

    def record_scores(self, **logits: Tensor) -> None:
        """Mean logits, and the mean sign of those of real images, which adaptive augmentation follows."""
        for name, value in logits.items():
            self.record(f"score/{name}", value)
        self.record("health/real_sign", logits["real"].sign())
        for name, value in self.augment.observe(logits["real"]).items():
            self.record(name, value)

    # -- the trained model from outside ------------------------------------------------------------------------------

    @property
    def resolution(self) -> int:
        """Height and width of the images, in pixels."""
        return self.synthesis.resolution

    @property
    def channels(self) -> int:
        """1 for grey pictures, 3 for RGB."""
        return self.synthesis.image_channels

    @property
    def spaces(self) -> dict[str, Space]:
        """The latent spaces that :meth:`decode` takes: ``z``, what F makes of it, ..., what G takes."""
        return self.codes.spaces(self.synthesis)

    def encode(self, x: Tensor) -> Tensor:
        """Not there without an encoder.

        Raises:
            NotOffered: always; optimisation finds codes (:mod:`aestyle.latents.inversion`), which takes minutes.
        """
        raise NotOffered(f"{type(self).__name__} has no encoder: run python -m aestyle.invert, or use method=joint_ae")

    def decode(self, code: Tensor, space: str | None = None) -> Tensor:
        """Codes to images with averaged networks and constant noise.

        Args:
            code: a batch of codes.
            space: one of :attr:`spaces`; the default is :attr:`code_space`.

        Returns:
            Images (N, channels, resolution, resolution), not clamped.

        Raises:
            UserError: unknown space, or a code that is not of it.
        """
        return self.ema["synthesis"](self.convert_code(code, space or self.code_space, list(self.spaces)[-1]))

    def convert_code(self, code: Tensor, source: str, target: str) -> Tensor:
        """A code in a wider space: from ``z`` through the averaged F, or repeated for every layer.

        Args:
            code: a batch of codes of space ``source``.
            source: name of its space.
            target: name of the same or a later one of :attr:`spaces`.

        Raises:
            UserError: there is no such space, the code is not of it, or the way leads back.
        """
        spaces = self.spaces
        get_space(spaces, source).check(code)
        get_space(spaces, target)
        path = list(spaces)[list(spaces).index(source) : list(spaces).index(target) + 1]
        if not path:
            raise UserError(f"a code of space {source} cannot be brought back to {target}")
        for before, after in pairwise(path):
            if before == "z":
                code = self.ema["mapping"](code)
            if spaces[after].per_layer and not spaces[before].per_layer:
                code = style_per_layer(code, self.synthesis.num_ws)
        return code

    def style_weights(self) -> list[Tensor]:
        """Weights (channels, style_dim) of the averaged affine layer of each style input, without their biases."""
        synthesis = self.ema["synthesis"]
        assert isinstance(synthesis, Synthesis)
        return [layer.affine.weight * layer.affine.scale for layer in synthesis.styled_layers()]

    def kernel_energies(self) -> list[Tensor]:
        """Where codes are matrices: squared lengths of the averaged kernels that a row scales, (rows, channels) each.

        They belong to the weights of :meth:`style_weights`, one by one.
        """
        synthesis = self.ema["synthesis"]
        assert isinstance(synthesis, RowSynthesis)
        return synthesis.kernel_energies()

    @property
    def code_space(self) -> str:
        """The space that :meth:`encode` answers in and :meth:`decode` takes by default: that of F's outputs."""
        return list(self.spaces)[1]

    @torch.no_grad()
    def sample(self, n: int, seed: int = 0, truncation: float = 1.0) -> Tensor:
        """Images from the prior, with averaged networks and constant noise.

        Args:
            n: number of images; the first ones do not depend on it.
            seed: keys the codes.
            truncation: psi; below 1 pulls styles toward their mean.

        Returns:
            Images (n, channels, resolution, resolution), not clamped.
        """
        space = list(self.spaces)[1]
        w = self.convert_code(self.prior(n, seed), "z", space)
        if truncation < 1:
            w = truncate(w, self.mean_style(), truncation)
        return self.decode(w, space)

    def prior(self, n: int, seed: int = 0) -> Tensor:
        """Codes of :meth:`sample` in space ``z``; the first ones do not depend on ``n``."""
        return self.codes.draw(
            self.synthesis,
            lambda part, shape: sample_normal(seed, part, n, shape, self.device).to(self.dtype),
            "z",
        )

    @torch.no_grad()
    def mean_style(self, n: int = 4096) -> Tensor:
        """The mean of F(z) over ``n`` vectors z from N(0, I): (1, style_dim), of every row where codes are matrices."""
        z = sample_normal(0, "mean_style", n, (self.synthesis.style_dim,), self.device).to(self.dtype)
        return self.ema["mapping"](z).mean(dim=0, keepdim=True)
