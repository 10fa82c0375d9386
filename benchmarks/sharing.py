"""What the phases of joint AE-StyleGAN's iteration share, what that gains, and what they could share besides.

**Shared:** in the AE step the reconstruction and the adversarial loss are each differentiated once, down to the image;
adaptive beta (Equation 6) and the step itself go on from the same image gradients. A step as the equation is written
differentiates D and the perceptual network a second time; both are timed in turns, and their gradients compared.

**Not shared:** E(x), which D's step and the AE step both compute from the same weights and images. Reconstructions do
not come twice: every phase draws noise of its own, and G moves between the AE and the GAN step, so what they generate
differs in any case. To keep E(x) from one step to the next, D's step would have to hold E's graph, which it now does
not build, while D is differentiated: memory at the peak for the time in the last two columns.

Run as ``python -m benchmarks.sharing``.
"""

from typing import Any

import torch
from torch import Tensor

from aestyle.engine.phases import Phase, Step, only_trainable
from aestyle.losses.adaptive import adaptive_weight
from aestyle.losses.adversarial import real_loss
from benchmarks.steps import Case, fresh, kinds, medians, method_of, without_trainer

CASES = [Case("joint_ae", "cpu", "orl_faces", 16), Case("joint_ae", "paper", "folder", 4)]


def as_written(method: Any, step: Step) -> Tensor:
    """Equation 6 term by term: ``L_rec + beta * lambda_adv * A(-D(G(E(x))))``, with its value."""
    rec = method.reconstruct(step)
    loss = method.reconstruction_loss(step.real, rec)
    (logits,) = method.discriminate_rec(step, rec=rec)
    adv = method.weights.adversarial * real_loss(logits)
    layers = method.synthesis.last_layer
    norms = [torch.autograd.grad(term, layers, retain_graph=True) for term in (loss, adv)]
    return loss + adaptive_weight(*norms, method.beta.eps, method.beta.maximum) * adv


def measure(case: Case) -> tuple[list[float], float]:
    """Median seconds of an AE step as it is and as written, of an iteration, of E(x); how far the gradients differ."""
    torch.manual_seed(0)
    method = method_of(case)
    ordinary = kinds(method)["ordinary"]
    (shared,) = (phase for phase in ordinary if phase.name == "AE")
    naive = Phase("AE", shared.networks, lambda step: as_written(method, step))
    difference = _difference(method, shared, naive, case.batch_size)
    images = torch.rand(case.batch_size, method.channels, method.resolution, method.resolution) * 2 - 1
    iteration, ours, written = (
        without_trainer(method, case.batch_size, phases) for phases in (ordinary, [shared], [naive])
    )
    return medians(ours, written, iteration, torch.no_grad()(lambda: method.encoder(images))), difference


def _difference(method: Any, shared: Phase, naive: Phase, batch: int) -> float:
    """Largest difference of a gradient, by the largest gradient of its tensor."""
    real = torch.rand(batch, method.channels, method.resolution, method.resolution) * 2 - 1
    found = []
    with only_trainable(method.networks, shared.networks):
        trained = [p for name in shared.networks for p in method.networks[name].parameters()]
        for phase in (shared, naive):
            loss = phase.loss(Step(real, method.draws("AE", 0, real)))
            found.append(torch.autograd.grad(loss, trained, allow_unused=True))
    pairs = [(a, b) for a, b in zip(*found, strict=True) if a is not None and b is not None]
    return max(float((a - b).abs().max() / b.abs().max().clamp(min=1e-12)) for a, b in pairs)


def main() -> None:
    print(f"Joint AE-StyleGAN at 32 px, {torch.get_num_threads()} threads")
    print(
        "scale  batch  AE step ms  as written ms  gradients differ by  iteration ms  saved  E(x) ms  of the iteration"
    )
    for case in CASES:
        (ours, written, iteration, encoding), difference = fresh(measure, case)
        print(
            f"{case.scale:<5}  {case.batch_size:>5}  {ours * 1e3:>10.0f}  {written * 1e3:>13.0f}  {difference:>16.1e}"
            f"  {iteration * 1e3:>12.0f}  {1 - iteration / (iteration + written - ours):>5.1%}"
            f"  {encoding * 1e3:>7.0f}  {encoding / iteration:>16.1%}",
            flush=True,
        )


if __name__ == "__main__":
    main()
