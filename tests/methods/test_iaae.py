"""AAE and the IAAE family: what each variant changes, what it leaves alone, and that the printed KLD has no effect."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from aestyle.engine.module import PhasedModule
from aestyle.engine.phases import Step, only_trainable
from aestyle.methods.aae import AAE
from tests.methods.driven import images, tiny
from tests.tiny import compose_tiny, differences, slow_but

VARIANTS = ("latent_mapping", "n_iter", "kld_loss", "feature", "equal_linear")
FAMILY = ("aae", "iaae", "vaegan", *(f"iaae_{name}" for name in VARIANTS))
Gradients = dict[str, dict[str, Tensor]]


def gradients(method: PhasedModule, seed: int = 0) -> Gradients:
    """For each phase the gradients at the start, every phase on the same images."""
    batch, found = images(method, seed), {}
    for phase in method.phases():
        method.zero_grad()
        with only_trainable(method.networks, phase.networks):
            phase.loss(Step(batch, method.draws(phase.name, 0, batch))).backward()
        found[phase.name] = {name: p.grad.clone() for name, p in method.named_parameters() if p.grad is not None}
    method.zero_grad()
    return found


def trained(options: str, iterations: int = 6) -> PhasedModule:
    method, _ = tiny(options)
    for i in range(iterations):
        method.training_step({"image": images(method, seed=i)}, 0)
    return method


def end(method: PhasedModule) -> dict[str, Any]:
    """Weights, statistics and Adam's moments."""
    optimizers = {str(i): optimizer.state_dict() for i, optimizer in enumerate(method.optimizers())}  # type: ignore[arg-type,union-attr]
    return {"state": dict(method.state_dict()), **optimizers}


# -- KLD -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weight", [0.1, 100])
def test_printed_kld_is_without_effect(weight: float) -> None:
    """Bit by bit, Adam's moments included, while the loss that is printed differs."""
    legacy = trained(f"iaae_kld_loss method.kld.legacy=true method.kld.weight={weight}")
    plain = trained("aae")
    assert not differences(end(legacy), end(plain))
    assert 0 < abs(legacy.batch_stats["loss/kld"]) < float("inf")


@pytest.mark.parametrize("options", ["", "method.kld.from_prior=true"])
def test_effective_kld_has_an_effect_on_the_encoder_alone(options: str) -> None:
    assert differences(end(trained(f"iaae_kld_loss {options}", 1)), end(trained("aae", 1)))
    assert changed_phases(f"iaae_kld_loss {options}") == {"E"}


@pytest.mark.parametrize("from_prior", ["false", "true"])
def test_kld_draws_the_codes_moments_toward_the_prior(from_prior: str) -> None:
    """Without reconstruction or discriminator: variance 1 and mean 0 are where it is least."""
    method, _ = tiny(f"iaae_kld_loss method.kld.from_prior={from_prior} method.lr=0.01")
    assert isinstance(method, AAE)
    assert method.kld is not None
    optimizer = torch.optim.Adam(method.encoder.parameters(), lr=0.01)
    x = images(method, size=32)
    for _ in range(150):
        optimizer.zero_grad()
        method.kld.of_moments(method.encoder(x)).backward()
        optimizer.step()
    posterior = method.encoder(x)
    variance = posterior.mu.var(dim=0, correction=0) + posterior.sigma.square().mean(dim=0)
    torch.testing.assert_close(variance, torch.ones(10), rtol=0, atol=0.1)
    torch.testing.assert_close(posterior.mu.mean(dim=0), torch.zeros(10), rtol=0, atol=0.1)


# -- a variant changes its part only ---------------------------------------------------------------------------------


def changed_phases(options: str, dtype: torch.dtype = torch.float32) -> set[str]:
    """The phases whose gradients at the start differ from AAE's."""
    ours, plain = gradients(tiny(options)[0].to(dtype)), gradients(tiny("aae")[0].to(dtype))
    assert ours.keys() == plain.keys()
    return {phase for phase in ours if differences(ours[phase], plain[phase])}


@pytest.mark.parametrize(
    ("options", "phases"),
    [
        ("aae", set()),
        ("iaae_latent_mapping", {"AE"}),
        ("iaae_n_iter", set()),
        ("iaae_kld_loss", {"E"}),
        ("iaae_kld_loss method.kld.legacy=true", set()),
        ("iaae_feature", {"AE"}),
        ("iaae_feature method.feature.freeze_encoder=true", {"AE"}),
        ("iaae_feature method.feature.pixel=1 method.feature.feature=0", set()),
        ("aae method/variants=[posterior_kl]", {"E"}),
        ("aae method/variants=[latent_mapping,kld_loss]", {"AE", "E"}),
        ("iaae_equal_linear", {"AE", "D", "E"}),
        ("aae method/variants=[sigma_fixed]", {"AE", "D", "E"}),
    ],
)
def test_a_variant_changes_only_the_loss_of_its_phase(options: str, phases: set[str]) -> None:
    assert changed_phases(options) == phases


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_changes_only_the_start_of_its_networks(name: str) -> None:
    """The discriminator starts alike in all, and everything that has the same name and shape but for equal-linear."""
    ours, plain = (dict(tiny(method)[0].state_dict()) for method in (f"iaae_{name}", "aae"))
    changed = {key.split(".")[0] for key in plain if key not in ours or differences(ours[key], plain[key])} - {"ema"}
    added = {".".join(key.split(".")[:2]) for key in ours if key not in plain and not key.startswith("ema")}
    expected = {
        "equal_linear": ({"encoder", "decoder"}, {"decoder.body"}),
        "latent_mapping": (set(), {"decoder.mapping"}),
    }
    assert (changed, added) == expected.get(name, (set(), set()))  # without a norm, the layers behind it move up


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_changes_only_its_options(name: str) -> None:
    def flat(node: Any, prefix: str = "") -> dict[str, Any]:
        if not hasattr(node, "items"):
            return {prefix: node}
        return {k: v for key, child in node.items() for k, v in flat(child, f"{prefix}.{key}").items()}

    ours, plain = (flat(compose_tiny(f"method={method}").method) for method in (f"iaae_{name}", "aae"))
    changed = {key.split(".")[1] for key in ours.keys() | plain.keys() if ours.get(key) != plain.get(key)} - {"name"}
    part = {"latent_mapping": {"decoder"}, "n_iter": {"d_steps"}, "kld_loss": {"kld"}, "feature": {"feature"}}
    assert changed == part.get(name, {"encoder", "decoder"})


def test_combined_variants_are_all_there() -> None:
    method, config = tiny("iaae")
    assert isinstance(method, AAE)
    assert (method.d_steps, config.decoder.mapping_depth) == (3, 4)
    assert method.kld is not None
    assert method.feature is not None
    assert not [name for name, _ in method.encoder.named_buffers()]
    alone, config = tiny("iaae_n_iter method/variants=[kld_loss,sigma_floor]")
    assert isinstance(alone, AAE)
    assert (alone.d_steps, alone.feature, config.decoder.mapping_depth) == (3, None, 0)
    assert alone.kld is not None
    assert alone.encoder(images(alone)).sigma.min() >= 0.1


# -- the steps -------------------------------------------------------------------------------------------------------


def test_n_iter_repeats_the_discriminator_on_the_same_images_with_new_draws() -> None:
    method, _ = tiny("iaae_n_iter method.d_steps=4")
    seen: list[tuple[str, Step]] = []
    method.run_phase = lambda phase, step: seen.append((phase.name, step))  # type: ignore[method-assign]
    method.training_step({"image": images(method)}, 0)
    assert [name for name, _ in seen] == ["AE", "D", "D", "D", "D", "E"]
    assert all(torch.equal(step.real, seen[0][1].real) for _, step in seen)
    for drawn in ("z", "eps"):
        values = [step.draws.normal(drawn, (10,)) for _, step in seen]
        assert all(not torch.equal(a, b) for i, a in enumerate(values) for b in values[:i])
    assert method.images_seen == 8


def test_each_step_has_its_own_adam() -> None:
    """E is in two of them, and each hears only the gradients of its own step."""
    method = trained("iaae_n_iter", 5)
    optimizers = dict(zip(method.optimizer_groups(), method.optimizers(), strict=True))  # type: ignore[arg-type]
    steps = {name: {int(s["step"]) for s in o.state_dict()["state"].values()} for name, o in optimizers.items()}
    assert steps == {"AE": {5}, "D": {15}, "E": {5}}


def test_losses_to_the_letter() -> None:
    """Log-likelihoods of a sigmoid, the L1 error and the feature error, written as the paper does."""
    method, _ = tiny("iaae_feature")
    method.double()
    batch = images(method)
    steps = {phase: Step(batch, method.draws(phase, 0, batch)) for phase in ("AE", "D", "E")}

    def looked_at(phase: str) -> tuple[Tensor, Tensor]:
        mu, sigma = method.encoder(batch)  # type: ignore[operator]
        return mu, mu + sigma * steps[phase].draws.normal("eps", (10,))

    def judged(phase: str, name: str, codes: Tensor) -> Tensor:
        keep = steps[phase].draws.bernoulli(f"keep_{name}", 0.7, (384,))
        return torch.sigmoid(method.discriminator(codes, keep))  # type: ignore[operator]

    losses = {phase.name: phase.loss(steps[phase.name]) for phase in method.phases()}
    mu, z = looked_at("AE")
    rec = method.decoder(z)  # type: ignore[operator]
    feature = F.l1_loss(method.encoder(rec)[0], mu)  # type: ignore[operator]
    torch.testing.assert_close(losses["AE"], 0.9 * F.l1_loss(rec, batch) + 0.1 * feature)
    prior, posterior = (
        judged("D", name, z)
        for name, z in (("prior", steps["D"].draws.normal("z", (10,))), ("posterior", looked_at("D")[1]))
    )
    torch.testing.assert_close(losses["D"], -prior.log().mean() - (1 - posterior).log().mean())
    torch.testing.assert_close(losses["E"], -judged("E", "posterior", looked_at("E")[1]).log().mean())


def test_a_frozen_encoder_teaches_the_decoder_as_a_free_one_does() -> None:
    """The decoder's gradient is the same; the encoder's is another one."""
    free, frozen = (
        gradients(tiny(f"iaae_feature method.feature.freeze_encoder={value}")[0])["AE"] for value in ("false", "true")
    )
    moved = {name.split(".")[0] for name in free if not torch.allclose(free[name], frozen[name], rtol=1e-4, atol=1e-7)}
    assert moved == {"encoder"}


def test_feature_error_leaves_running_statistics_to_real_images() -> None:
    ours, plain = (dict(tiny(name)[0].networks) for name in ("iaae_feature", "aae"))
    for name in ("iaae_feature", "aae"):
        method, _ = tiny(name)
        step = Step(images(method), method.draws("AE", 0, images(method)))
        method.run_phase(method.phases()[0], step)
        (ours if name == "iaae_feature" else plain).update(method.networks)
    assert not differences(dict(ours["encoder"].named_buffers()), dict(plain["encoder"].named_buffers()))


# -- sigma -----------------------------------------------------------------------------------------------------------


def sigma_after(options: str, iterations: int = 100) -> float:
    """Mean size of sigma at the end of a short training."""
    method, _ = tiny(f"{options} method.lr=0.005")
    for _ in range(iterations):
        method.training_step({"image": images(method)}, 0)
    return method.batch_stats["latent/sigma"]


@pytest.mark.slow
def test_remedies_keep_sigma_up() -> None:
    """How far it falls without them is for the study to say."""
    plain = sigma_after("aae")
    assert plain < 0.3
    assert sigma_after("aae method/variants=[sigma_floor] method.encoder.sigma.least=0.4") >= 0.4
    assert sigma_after("aae method/variants=[sigma_fixed] method.encoder.sigma.value=0.4") == pytest.approx(0.4)
    assert sigma_after("aae method/variants=[posterior_kl] method.posterior_kl=0.1") > 1.5 * plain


# -- the whole family ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", slow_but(["iaae"], FAMILY))
def test_training_goes_on_exactly_from_a_checkpoint(name: str) -> None:
    whole, (first, _), (second, _) = trained(name, 5), tiny(name), tiny(name, seed=1)
    for i in range(2):
        first.training_step({"image": images(first, seed=i)}, 0)
    checkpoint: dict[str, Any] = {}
    first.on_save_checkpoint(checkpoint)
    second.on_load_checkpoint(checkpoint)
    second.load_state_dict(first.state_dict())
    for mine, saved in zip(second.optimizers(), first.optimizers(), strict=True):  # type: ignore[arg-type]
        mine.load_state_dict(saved.state_dict())  # type: ignore[union-attr]
    for i in range(2, 5):
        second.training_step({"image": images(second, seed=i)}, 0)
    assert not differences(end(whole), end(second))


@pytest.mark.parametrize("name", FAMILY)
def test_the_paper_s_settings_come_with_the_method(name: str) -> None:
    for scale in ("cpu", "paper"):
        cfg = compose_tiny(f"method={name}", f"scale={scale}", "resolution=${scale.resolution}")
        assert (cfg.scale.batch_size, cfg.resolution, cfg.kimg) == (1024, 32, 6000)
        assert (cfg.method.lr, cfg.method.betas) == (1e-4, [0.9, 0.999])
        assert cfg.method.encoder.latent_dim == 10
    assert compose_tiny("method=stylegan2").scale.batch_size == 8


@pytest.mark.parametrize("name", ["aae", "vaegan"])
def test_averaged_networks_are_the_last_ones(name: str) -> None:
    """The paper averages nothing."""
    method = trained(name, 2)
    for network in ("encoder", "decoder"):
        assert not differences(dict(method.networks[network].state_dict()), dict(method.ema[network].state_dict()))  # type: ignore[union-attr]


def test_vaegan_to_the_letter() -> None:
    method, _ = tiny("vaegan method.gamma=0.3 method.kl=0.02")
    method.double()
    batch = images(method)
    step = Step(batch, method.draws("any", 0, batch))
    mu, sigma = method.encoder(batch)  # type: ignore[operator]
    rec = method.decoder(mu + sigma * step.draws.normal("eps", (10,)))  # type: ignore[operator]
    fake = method.decoder(step.draws.normal("z", (10,)))  # type: ignore[operator]
    (real_logits, real), (rec_logits, like), (fake_logits, _) = (
        method.discriminator(x)  # type: ignore[operator]
        for x in (batch, rec, fake)
    )
    kl = -0.5 * (1 + sigma.square().log() - mu.square() - sigma.square()).sum(dim=1).mean()
    error = F.mse_loss(like, real)
    log, no = torch.nn.functional.logsigmoid, torch.nn.functional.softplus
    expected = {
        "E": 0.02 * kl + error,
        "Dec": 0.3 * error - log(rec_logits).mean() - log(fake_logits).mean(),
        "D": -log(real_logits).mean() + no(rec_logits).mean() + no(fake_logits).mean(),
    }
    for phase in method.phases():
        torch.testing.assert_close(phase.loss(step), expected[phase.name])
