"""The statements of ``PROTOCOL.md`` as comparisons that recorded runs and inversions can decide."""

from aestyle.studies.claims import Below, Claim, Quantity
from experiments.overparam.settings import (
    BASELINE_JOINT,
    JOINT,
    JOINT_FROM_ENCODER,
    JOINT_FROM_MEAN,
    MATRIX,
    MATRIX_PLUS,
    RESTARTED,
    TWO_STAGE,
    UPSAMPLED,
    W_PLUS,
    Setting,
    W,
)
from experiments.overparam.values import SPREAD, STEPS_TO

HALF, ALIKE = 1 / 2, 5 / 4

FEW = "It compares one number a model: without several seeds nothing can be tested."
SHORT = "A generator whose pictures vary less has shorter ways: read it beside the reconstructions."


def all_claims() -> list[Claim]:
    """The statements, in the order of ``PROTOCOL.md``."""
    return [*_reconstruction(), *_interpolation(), *_training(), *_encoders(), *_downstream()]


def _reconstruction() -> list[Claim]:
    return [
        Claim(
            "Table 2",
            "W reconstructs with less than half the distance of the baseline's w+",
            (_pictures("distance", MATRIX, W_PLUS, HALF),),
        ),
        Claim(
            "Table 2",
            "W reconstructs better than the baseline's w+ at all (distance, squared error)",
            (_pictures("distance", MATRIX, W_PLUS), _pictures("error", MATRIX, W_PLUS)),
        ),
        Claim(
            "Table 2",
            "extension to a matrix per layer (W+) reconstructs better still",
            (_pictures("distance", MATRIX_PLUS, MATRIX),),
        ),
        Claim("background", "the baseline's w+ reconstructs better than its w", (_pictures("distance", W_PLUS, W),)),
        Claim("Figure 6", "W gets where w+ ends in less than half the steps", (_fast(MATRIX, W_PLUS),)),
        Claim(
            "Figure 6",
            "W is more reliable: distances lie closer to their median than with w+",
            (_pictures(SPREAD, MATRIX, W_PLUS),),
        ),
    ]


def _interpolation() -> list[Claim]:
    return [
        Claim(
            "Table 3",
            "ways between pictures inverted into W are at most a quarter longer than those of w+",
            (_pictures("path", MATRIX, W_PLUS, ALIKE),),
            caution=SHORT,
        ),
        Claim(
            "Table 3",
            "midpoints of W are at most a quarter farther from the data than those of w+",
            (_models("midpoint_frechet", MATRIX.name, W_PLUS.name, ALIKE),),
            caution=FEW,
        ),
        Claim(
            "Table 3",
            "extension to W+ harms: its midpoints are farther from the data than those of W",
            (_models("midpoint_frechet", MATRIX.name, MATRIX_PLUS.name),),
            caution=FEW,
        ),
    ]


def _training() -> list[Claim]:
    return [
        Claim(
            "Table 1",
            "samples are farther from the data than the baseline's, with path lengths the same within a quarter",
            (
                _models("fid", "baseline", "overparam"),
                _models("ppl", "overparam", "baseline", ALIKE),
                _models("ppl", "baseline", "overparam", ALIKE),
            ),
        ),
        Claim("section 3.1", "ρ = 0 degrades training (distance of samples)", (_models("fid", "overparam", "rho0"),)),
        Claim(
            "footnote 4",
            "codes of their own per layer degrade training (distance of samples)",
            (_models("fid", "overparam", "own_per_layer"),),
        ),
    ]


def _encoders() -> list[Claim]:
    return [
        Claim(
            "future work",
            "an encoder into W reconstructs held-out pictures worse than optimisation; trained with the generator it "
            "does better than trained afterwards, and than the baseline's joint encoder into w+",
            (
                _pictures("distance", MATRIX, TWO_STAGE),
                _pictures("distance", JOINT_FROM_MEAN, JOINT),
                _pictures("distance", JOINT, TWO_STAGE),
                _pictures("distance", JOINT, BASELINE_JOINT),
            ),
        ),
        Claim(
            "future work",
            "from the encoder's W, optimisation gets where it ends from the mean in less than half the steps",
            (_fast(JOINT_FROM_ENCODER, JOINT_FROM_MEAN),),
        ),
    ]


def _downstream() -> list[Claim]:
    return [
        Claim(
            "Figure 8",
            "upsampling into W matches the small pictures more closely than into w+",
            (_pictures("distance", UPSAMPLED[1], UPSAMPLED[0]),),
        ),
        Claim(
            "Figure 11",
            "midpoints of two codes of one picture are farther from it in W than in w+",
            (_pictures("between", RESTARTED[0], RESTARTED[1]),),
        ),
    ]


def _pictures(column: str, a: Setting, b: Setting, bound: float = 1.0) -> Below:
    """``a`` below ``bound`` times ``b``, picture by picture."""
    return Below(Quantity(a.name, column), Quantity(b.name, column), bound, paired=True)


def _models(column: str, a: str, b: str, bound: float = 1.0) -> Below:
    """``a`` below ``bound`` times ``b``, over seeds."""
    return Below(Quantity(a, column), Quantity(b, column), bound)


def _fast(a: Setting, b: Setting) -> Below:
    """``a`` gets to where ``b`` ends in less than half the steps that ``b`` takes."""
    return _pictures(f"{STEPS_TO}{b.name}", a, b, HALF)
