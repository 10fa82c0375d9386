"""``RESULTS.md``: what the recorded runs say, put together from their result files.

``python -m experiments.pioneer.record --scale cpu`` (from the top of the checkout) keeps the curves of the trainings
that are on this machine, writes tables, verdicts and figures into ``experiments/pioneer/out/<scale>/`` and
``RESULTS.md`` beside it (``RESULTS_paper.md`` at paper scale). Text by hand belongs into ``ANALYSIS.md``
(``ANALYSIS_paper.md``), which is included as it stands.
"""

from aestyle.studies.recording import Record
from aestyle.studies.showing import Options, command
from experiments.pioneer.claims import judge_all, printed_ratios
from experiments.pioneer.figures import all_pictures
from experiments.pioneer.paper import FOLDER, Paper
from experiments.pioneer.tables import all_tables
from experiments.pioneer.training import keep

COMMANDS = """```
python -m aestyle.study path=experiments/pioneer scale={scale}      # runs what is missing
python -m experiments.pioneer.record --scale {scale}                # this file, tables, verdicts, pictures
python -m experiments.pioneer.tables --scale {scale}                # the tables alone; likewise claims, figures
```
"""

RULES = (
    "The statements were fixed before any result was there ([PROTOCOL.md](PROTOCOL.md)). A comparison holds, or does "
    "not, where a t-test over seeds gives p < 0.05 (Welch's between models, a paired one between two numbers of the "
    "same models), and is undecidable otherwise; a statement holds if all its comparisons do."
)


def main(options: Options) -> None:
    """Writes everything that can be made from the results that are there."""
    results, paper = options.results(), Paper.load()
    keep(results)
    tables, pictures = all_tables(results, paper), all_pictures(results, paper)
    said = printed_ratios(paper, options.scale)
    Record("PIONEER", COMMANDS, tables, pictures, RULES, judge_all(results, paper), said).write(results, options)


if __name__ == "__main__":
    command(main, __doc__, FOLDER)
