"""``RESULTS.md``: what the recorded runs and inversions say, put together from their result files.

``python -m experiments.overparam.record --scale cpu`` (from the top of the checkout) writes tables, verdicts and
figures into ``experiments/overparam/out/<scale>/`` and ``RESULTS.md`` beside it (``RESULTS_paper.md`` at paper scale).
Text by hand belongs into ``ANALYSIS.md`` (``ANALYSIS_paper.md``), which is included as it stands.
"""

from aestyle.studies.recording import Record
from aestyle.studies.showing import Options
from experiments.overparam.claims import judge_all, printed_ratios
from experiments.overparam.figures import all_pictures
from experiments.overparam.options import command
from experiments.overparam.paper import Paper
from experiments.overparam.tables import all_tables

COMMANDS = """```
python -m aestyle.study path=experiments/overparam scale={scale}      # trains what is missing
python -m experiments.overparam.inversions --scale {scale}            # inverts what is missing
python -m experiments.overparam.cost                                  # time and memory of a step, on a quiet machine
python -m experiments.overparam.record --scale {scale}                # this file, tables, verdicts, pictures
```
"""

RULES = (
    "The statements were fixed before any result was there ([PROTOCOL.md](PROTOCOL.md)). A comparison holds, or does "
    "not, where a t-test gives p < 0.05, paired over pictures for inversions, Welch's over seeds for models (both p in "
    "one column below), and is undecidable otherwise; a statement holds if all its comparisons do."
)


def main(options: Options) -> None:
    """Writes everything that can be made from the results that are there."""
    results, paper = options.results(), Paper.load()
    tables, judgements = all_tables(results, paper, options.folder), judge_all(results, paper)
    shown = (tables, all_pictures(results), RULES, judgements, printed_ratios(paper))
    Record("Overparameterised StyleGAN", COMMANDS, *shown).write(results, options)


if __name__ == "__main__":
    command(main, __doc__)
