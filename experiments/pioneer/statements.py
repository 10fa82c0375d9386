"""The statements of ``PROTOCOL.md`` as comparisons that recorded runs can decide; fixed before the first of them."""

from collections.abc import Sequence

from aestyle.studies.claims import Below, Claim, Quantity
from experiments.pioneer.settings import GROWTH, SPECTRAL

HALF, NOT_FAR, NOT_WORSE = 1 / 2, 3 / 2, 1.1

LEARNT = 0.7**2
"""Squared error per that of the mean image; its root is compared with 0.7."""

SMALL_SIZE = (
    "The paper says this of sizes above 64 px, and that training fails without; here are 16 px. A verdict says what "
    "spectral norm does at this size, nothing of the paper's claim. A training that fails leaves no result."
)
OTHER_DATA = "The paper says this of CIFAR-10 at 32 px."
EASY = "Samples that vary less are easier to reconstruct: the comparison of shares of the variance allows for that."
OWN_BOUND = "The bound is this suite's own; the paper has none."


def all_claims(scale: str) -> list[Claim]:
    """The statements, in the order of ``PROTOCOL.md``, with the runs of a scale; the last one is of paper scale."""
    larger = [_larger()] if scale == "paper" else []
    return [*_reconstructions(), *_samples(), *_own_samples(), *_ablations(scale), *_codes(), _converges(), *larger]


def _reconstructions() -> list[Claim]:
    baselines = ("ali", "age")
    return [
        Claim(
            "Table 1",
            "PIONEER reconstructs held-out pictures with a smaller error than ALI and AGE",
            _against(("rmse",), "pioneer", baselines),
        ),
        Claim(
            "Table 1",
            "PIONEER reconstructs held-out pictures with a smaller error than ProgGAN/L1",
            _against(("rmse",), "pioneer", ("progan_l1",)),
        ),
        Claim(
            "Figure 4",
            "PIONEER's reconstructions are much closer than those of ALI and AGE: less than half the error",
            _against(("rmse",), "pioneer", baselines, HALF),
        ),
        Claim(
            "Figure 4",
            "PIONEER's reconstructions are closer than those of ALI and AGE in a network's features",
            _against(("perceptual",), "pioneer", baselines),
        ),
        Claim(
            "section 4.1",
            "the original nearest to a reconstruction is its own more often with PIONEER than with ALI and AGE",
            tuple(_below("found", baseline, "pioneer") for baseline in baselines),
        ),
    ]


def _samples() -> list[Claim]:
    both = ("fid", "swd")
    return [
        Claim(
            "Table 1",
            "PIONEER's samples are nearer to the data than those of ALI and AGE (Fréchet and sliced distance)",
            _against(both, "pioneer", ("ali", "age")),
        ),
        Claim(
            "Table 1",
            "ProgGAN/L1's samples are nearer to the data than those of the other three",
            _against(both, "progan_l1", ("ali", "age", "pioneer")),
        ),
        Claim(
            "section 4.1",
            "PIONEER's samples do not fall far behind ProgGAN/L1's: less than half is added to their distances",
            _against(both, "pioneer", ("progan_l1",), NOT_FAR),
        ),
    ]


def _own_samples() -> list[Claim]:
    run = "progan_l1"
    own, real = Quantity(run, "own_share"), Quantity(run, "share")
    return [
        Claim(
            "section 4.1",
            "ProgGAN/L1 reconstructs its own samples better than real pictures it has not seen (squared error, and as "
            "a share of the pictures' variance)",
            (Below(Quantity(run, "own_error"), Quantity(run, "error"), paired=True), Below(own, real, paired=True)),
            caution=EASY,
        ),
        Claim(
            "section 4.1",
            "ProgGAN/L1 is much worse on real pictures: they keep more than twice the share of their variance",
            (Below(own, real, HALF, paired=True),),
        ),
    ]


def _ablations(scale: str) -> list[Claim]:
    spectral, without = SPECTRAL[scale]
    growing, at_once = GROWTH[scale]
    return [
        Claim(
            "section 3.3",
            "spectral norm makes reconstructions and samples better",
            _against(("rmse", "fid", "swd"), spectral, (without,)),
            caution=SMALL_SIZE if scale == "cpu" else "A training that fails leaves no result.",
        ),
        Claim(
            "section 4.3",
            "growth brings no benefits: without it, less than a tenth is added to the error and to the distances",
            _against(("rmse", "fid", "swd"), at_once, (growing,), NOT_WORSE),
            caution=OTHER_DATA if scale == "cpu" else "",
        ),
    ]


def _codes() -> list[Claim]:
    games = ("pioneer", "age")
    return [
        Claim(
            "section 3.1",
            "the encoder keeps codes of real pictures nearer to the prior than those of generated ones, to the end",
            tuple(Below(Quantity(run, "kl_real"), Quantity(run, "kl_fake"), paired=True) for run in games),
        ),
        Claim(
            "section 3.1",
            "codes of real pictures approach the prior: their divergence is nearer to its floor in the last tenth of "
            "the training than in the first",
            tuple(Below(Quantity(run, "kl_real"), Quantity(run, "kl_real_first"), paired=True) for run in games),
        ),
    ]


def _converges() -> Claim:
    return Claim(
        "section 5",
        "PIONEER is robust to train: over seeds, its held-out RMSE ends below 0.7 times the mean image's",
        (Below(Quantity("pioneer", "error"), Quantity("pioneer", "mean_image"), LEARNT, paired=True),),
        caution=OWN_BOUND,
    )


def _larger() -> Claim:
    return Claim(
        "Table 1",
        "at 128 px PIONEER reconstructs more closely than AGE, and its samples are nearer to the data",
        _against(("rmse", "fid", "swd"), "pioneer_128", ("age_128",)),
    )


def _against(columns: Sequence[str], run: str, others: Sequence[str], bound: float = 1.0) -> tuple[Below, ...]:
    return tuple(_below(column, run, other, bound) for column in columns for other in others)


def _below(column: str, a: str, b: str, bound: float = 1.0) -> Below:
    return Below(Quantity(a, column), Quantity(b, column), bound)
