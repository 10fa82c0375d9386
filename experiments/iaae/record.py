"""``RESULTS.md``: what the recorded runs say, put together from their result files.

``python -m experiments.iaae.record --scale cpu`` (from the top of the checkout) writes tables, claims and figures into
``experiments/iaae/out/<scale>/`` and ``RESULTS.md`` beside it (``RESULTS_paper.md`` at paper scale).
Text by hand belongs into ``ANALYSIS.md`` (``ANALYSIS_paper.md``), which is included as it stands; nothing else of the
document is written by hand, and no number in it comes from anywhere but the result files and ``paper.yaml``.
"""

from aestyle.studies.recording import Record
from aestyle.studies.showing import Options, command
from experiments.iaae.claims import judge_all, printed_ratios
from experiments.iaae.figures import all_pictures
from experiments.iaae.paper import FOLDER, Paper
from experiments.iaae.tables import all_tables

COMMANDS = """```
python -m aestyle.study path=experiments/iaae scale={scale}      # runs what is missing
python -m experiments.iaae.record --scale {scale}                # this file, tables, claims, pictures
python -m experiments.iaae.tables --scale {scale}                # the tables alone; likewise claims, figures
```
"""

RULES = (
    "A comparison holds, or does not, where Welch's t-test over seeds gives p < 0.05, and is undecidable otherwise; a "
    "claim holds if all its comparisons do. The rules stand at the top of `aestyle/studies/claims.py`, the bounds in "
    "`statements.py`, which was fixed before the runs. The answer to which models differ from AAE by more than noise, "
    "with a correction for their number, is in the tables below."
)


def main(options: Options) -> None:
    """Writes everything that can be made from the results that are there."""
    results, paper = options.results(), Paper.load()
    tables, pictures = all_tables(results, paper), all_pictures(results, paper)
    said = printed_ratios(paper, options.scale)
    Record("IAAE", COMMANDS, tables, pictures, RULES, judge_all(results, paper), said).write(results, options)


if __name__ == "__main__":
    command(main, __doc__, FOLDER)
