"""``RESULTS.md``: every method of the suite beside the others, put together from the recorded results.

``python -m experiments.compare.record --scale cpu`` (from the top of the checkout) writes the table and the sheet into
``experiments/compare/out/<scale>/`` and ``RESULTS.md`` beside it. Text by hand belongs into ``ANALYSIS.md``, which is
included as it stands.
"""

from aestyle.studies.recording import Record
from aestyle.studies.showing import Options, command
from experiments.compare.figures import all_pictures
from experiments.compare.tables import FOLDER, all_tables

COMMANDS = """```
python -m aestyle.study path=experiments/compare scale={scale}      # runs what is missing
python -m experiments.compare.speed --scale {scale}                 # time of the processor
python -m experiments.compare.record --scale {scale}                # this file, the table, the sheet
```
"""


def main(options: Options) -> None:
    """Writes everything that can be made from the results that are there."""
    results = options.results()
    shown = (all_tables(results), all_pictures(results))
    protocol = "What all runs have in common, and what not"
    Record("Every method of the suite", COMMANDS, *shown, protocol=protocol).write(results, options)


if __name__ == "__main__":
    command(main, __doc__, FOLDER)
