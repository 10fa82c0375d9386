"""``RESULTS.md``: what the recorded runs and inversions say, put together from their result files.

``python -m experiments.overparam.record --scale cpu`` (from the top of the checkout) writes tables, verdicts and
figures into ``experiments/overparam/out/<scale>/`` and ``RESULTS.md`` beside it (``RESULTS_paper.md`` at paper scale).
Text by hand belongs into ``ANALYSIS.md`` (``ANALYSIS_paper.md``), which is included as it stands.
"""

from rich.console import Console

from aestyle.studies.claims import cautions, details, in_lines, summary, write_claims
from aestyle.studies.figures import draw_all
from aestyle.studies.recording import everything, put_together, read_text, runs_table, shown, write_tables
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
    "one column below), and is undecidable otherwise; a statement holds if all its comparisons do.\n"
)


def main(options: Options) -> None:
    """Writes everything that can be made from the results that are there."""
    results, paper = options.results(), Paper.load()
    tables, judgements = all_tables(results, paper, options.folder), judge_all(results, paper)
    said = printed_ratios(paper)
    write_tables(tables, options.output)
    everything(results).write(options.output, "everything")
    write_claims(judgements, said, options.output)
    pictures = all_pictures(results)
    _, left_out = draw_all(pictures, options.output)
    where = options.output.relative_to(options.folder).as_posix()
    sections = {
        "What holds": [RULES, summary(judgements, said).to_markdown(), *(f"{text}\n" for text in cautions(judgements))],
        "Tables": [noted.to_markdown() for noted in tables],
        "Figures": shown(pictures, options.output, where),
        "Behind the statements and the tables": [details(judgements).to_markdown(), runs_table(results).to_markdown()],
    }
    suffix = "" if options.scale == "cpu" else f"_{options.scale}"
    analysis = read_text(options.folder / f"ANALYSIS{suffix}.md")
    target = options.folder / f"RESULTS{suffix}.md"
    text = put_together("Overparameterised StyleGAN", COMMANDS, results, analysis, sections)
    target.write_text(text, encoding="utf-8")
    Console().print(*in_lines(judgements), *left_out, f"{target} is written", sep="\n", soft_wrap=True, highlight=False)


if __name__ == "__main__":
    command(main, __doc__)
