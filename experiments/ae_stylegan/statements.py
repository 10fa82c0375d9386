"""What the paper, and our own reading of its code, claims, in comparisons that recorded runs can decide.

* "Twice as good" is a bound of 1/2; "about a third lower" is tested as a quarter lower at least (bound 3/4); "the same"
  is tested as less than a quarter more in either direction (two bounds of 5/4).
* Quantities "per base" are divided, seed by seed, by those of the base run of the same seed.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import product

from aestyle.studies.claims import Below, Claim, Quantity
from experiments.ae_stylegan.paper import Paper

TWICE, A_QUARTER_LOWER, ALIKE = 1 / 2, 3 / 4, 5 / 4


def all_claims(paper: Paper, scale: str) -> list[Claim]:
    """The claims, with the runs that this scale has."""
    return [*_ablation(), *_adaptive_weight(paper, scale), *_main_tables(paper.datasets(scale)), *_facts(paper, scale)]


MSE = {"mse": "MSE on training pictures", "mse_held_out": "MSE on held-out pictures"}
"""Claims about reconstructions are tested on both: the first as the paper does, the second as one should."""


def _ablation() -> Iterator[Claim]:
    designs = ("decoupled", "shared")
    for column, what in MSE.items():
        yield Claim(
            "Table 4",
            f"updating G in the AE step makes the reconstruction about a third better with one E step ({what})",
            tuple(_below(column, f"{d}_joint_1", f"{d}_frozen_1", A_QUARTER_LOWER) for d in designs),
        )
        yield Claim(
            "Table 4",
            f"updating G in the AE step makes the reconstruction better at all, one E step or four ({what})",
            tuple(_below(column, f"{d}_joint_{n}", f"{d}_frozen_{n}") for d in designs for n in (1, 4)),
        )
        yield Claim(
            "Table 4",
            f"four E steps instead of one help a joint G more than a frozen one ({what})",
            tuple(
                Below(
                    Quantity(f"{d}_joint_4", column, base=f"{d}_joint_1"),
                    Quantity(f"{d}_frozen_4", column, base=f"{d}_frozen_1"),
                )
                for d in designs
            ),
        )
        yield Claim(
            "Figure 5",
            f"the decoupled encoder lags behind the generator: it reconstructs worse than the joint model ({what})",
            (_below(column, "shared_joint_1", "decoupled_frozen_1"),),
        )
        yield Claim(
            "Figure 5",
            "… because the generator moves: an encoder trained as long on the finished generator reconstructs better "
            f"({what})",
            (_below(column, "two_stage", "decoupled_frozen_1"),),
        )


def _adaptive_weight(paper: Paper, scale: str) -> list[Claim]:
    main = paper.main_dataset(scale)
    pairs = [(f"{model}-{main}", f"{model}_nobeta") for model in ("joint_w", "joint_w_plus")]
    return [
        Claim(
            "Table 5",
            f"adaptive β helps ({what})",
            tuple(_below(column, run, without) for run, without in pairs),
        )
        for column, what in (*MSE.items(), ("fid", "distance of samples"))
    ]


def _main_tables(datasets: Sequence[str]) -> list[Claim]:
    ours = ("joint_w", "joint_w_plus")

    def each(columns: Iterable[str], better: Iterable[str], worse: str, bound: float = 1.0) -> tuple[Below, ...]:
        return tuple(
            _below(column, f"{model}-{data}", f"{worse}-{data}", bound)
            for data, model, column in product(datasets, tuple(better), tuple(columns))
        )

    def more_diverse_than(other: str) -> tuple[Below, ...]:
        return tuple(_below("lpips", f"{other}-{data}", f"{model}-{data}") for data in datasets for model in ours)

    paths = ("ppl_full", "ppl_end")
    paths_caution = (
        "A generator whose samples vary less has shorter paths: read it beside the diversity of the samples."
    )
    return [
        *(
            claim
            for column, what in MSE.items()
            for claim in (
                Claim(
                    "Table 3",
                    f"AE-StyleGAN reconstructs more than twice as well as ALAE ({what})",
                    each([column], ours, "alae", TWICE),
                    caution="If the paper's MSE is a root mean square, its twice would be a factor of four here.",
                ),
                Claim(
                    "Table 3",
                    f"it reconstructs better than ALAE at all ({what})",
                    each([column], ours, "alae"),
                ),
                Claim("Table 3", f"W+ reconstructs better than W ({what})", each([column], ours[1:], "joint_w")),
            )
        ),
        Claim(
            "Table 2",
            "easy to invert, hence more disentangled: shorter paths than StyleGAN2 (W+)",
            each(paths, ["joint_w_plus"], "stylegan2"),
            caution=paths_caution,
        ),
        Claim(
            "Table 2",
            "shorter paths than ALAE (W+)",
            each(paths, ["joint_w_plus"], "alae"),
            caution=paths_caution,
        ),
        Claim("Table 1", "samples nearer to the data than ALAE's", each(["fid"], ours, "alae")),
        Claim(
            "Table 1", "samples nearer to the data than StyleGAN2's (W+)", each(["fid"], ["joint_w_plus"], "stylegan2")
        ),
        Claim("Table 1", "samples more diverse than ALAE's", more_diverse_than("alae")),
        Claim("Table 1", "samples more diverse than StyleGAN2's", more_diverse_than("stylegan2")),
    ]


def _facts(paper: Paper, scale: str) -> list[Claim]:
    base = f"joint_w_plus-{paper.main_dataset(scale)}"

    def inverts_better(column: str, what: str) -> Claim:
        statement = f"trained together, E and G reconstruct better than an encoder for a finished StyleGAN2 ({what})"
        return Claim("Introduction", statement, (_below(column, base, "two_stage"),))

    def alike(column: str, run: str) -> tuple[Below, Below]:
        return _below(column, run, base, ALIKE), _below(column, base, run, ALIKE)

    def apart(column: str, run: str) -> tuple[Below, Below]:
        return _below(column, run, base), _below(column, base, run)

    return [
        *(inverts_better(column, what) for column, what in MSE.items()),
        Claim(
            "our reading",
            "λ_adv cancels under adaptive β: 1 instead of 0.1 changes nothing",
            (*alike("mse", "lambda_adv_1"), *alike("fid", "lambda_adv_1")),
            caution="It also weighs the AE step until β sets in, where it does not cancel.",
        ),
        Claim(
            "our reading",
            "the `official` and `paper` weights of Equation 5 give different models",
            (*apart("mse", "official"), *apart("fid", "official")),
            needs="any",
        ),
    ]


def _below(column: str, a: str, b: str, bound: float = 1.0) -> Below:
    return Below(Quantity(a, column), Quantity(b, column), bound)
