"""``RESULTS.md``: trainings in bf16-mixed beside those in 32 bits, put together from the recorded results.

``python -m experiments.precision.record --scale cpu`` (from the top of the checkout) writes the tables into
``experiments/precision/out/<scale>/`` and ``RESULTS.md`` beside it. Text by hand belongs into ``ANALYSIS.md``, which is
included as it stands.
"""

from aestyle.studies.recording import Record
from aestyle.studies.showing import Options, command
from experiments.precision.tables import FOLDER, all_tables

COMMANDS = """```
python -m aestyle.study path=experiments/precision scale={scale}      # runs what is missing
python -m experiments.precision.record --scale {scale}                # this file and the tables
```
"""


def main(options: Options) -> None:
    """Writes everything that can be made from the results that are there."""
    results = options.results()
    protocol = "What all runs have in common, and what not"
    title = "Trainings in bf16-mixed and in 32 bits"
    Record(title, COMMANDS, all_tables(results), (), protocol=protocol).write(results, options)


if __name__ == "__main__":
    command(main, __doc__, FOLDER)
