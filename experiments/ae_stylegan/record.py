"""``RESULTS.md``: what the recorded runs say, put together from their result files.

``python -m experiments.ae_stylegan.record --scale cpu`` (from the top of the checkout) writes tables, claims and
figures into ``experiments/ae_stylegan/out/<scale>/`` and ``RESULTS.md`` beside it (``RESULTS_paper.md`` at paper
scale).
Text by hand belongs into ``ANALYSIS.md`` (``ANALYSIS_paper.md``), which is included as it stands; nothing else of the
document is written by hand, and no number in it comes from anywhere but the result files and ``paper.yaml``.
"""

from aestyle.studies.recording import Record, read_text
from experiments.ae_stylegan import adam
from experiments.ae_stylegan.claims import judge_all, printed_ratios
from experiments.ae_stylegan.figures import all_pictures
from experiments.ae_stylegan.options import Options, command
from experiments.ae_stylegan.paper import Paper
from experiments.ae_stylegan.tables import all_tables

COMMANDS = """```
python -m aestyle.study path=experiments/ae_stylegan scale={scale}      # runs what is missing
python -m experiments.ae_stylegan.record --scale {scale}                # this file, tables, claims, pictures
python -m experiments.ae_stylegan.tables --scale {scale}                # the tables alone; likewise claims, figures
```
"""

RULES = (
    "A comparison holds, or does not, where Welch's t-test over seeds gives p < 0.05, and is undecidable otherwise; a "
    "claim holds if all its comparisons do. The rules stand at the top of `claims.py`, the bounds in `statements.py`."
)


def main(options: Options) -> None:
    """Writes everything that can be made from the results that are there."""
    results, paper = options.results(), Paper.load()
    adam.write(results, options.output)
    Record(
        "AE-StyleGAN",
        COMMANDS,
        all_tables(results, paper, options.scale),
        all_pictures(results, paper, options.scale),
        RULES,
        judge_all(results, paper, options.scale),
        printed_ratios(paper),
        [read_text(options.output / f"{adam.NAME}.md")],
    ).write(results, options)


if __name__ == "__main__":
    command(main, __doc__)
