"""Which claims of the paper, and of what it leaves open, the recorded runs bear out.

``python -m experiments.iaae.claims --scale cpu`` (from the top of the checkout) prints them and writes them into
``experiments/iaae/out/<scale>/``.

The claims and their bounds stand in ``statements.py``, the rules of their verdicts in ``aestyle/studies/claims.py``.
"""

from aestyle.studies.claims import Judgement, judge, said_by_paper, show_claims
from aestyle.studies.results import Results
from aestyle.studies.showing import Options, command
from experiments.iaae.paper import FOLDER, Paper
from experiments.iaae.statements import all_claims


def judge_all(results: Results, paper: Paper) -> list[Judgement]:
    """Every claim on the recorded runs of a scale."""
    by_seed = paper.by_seed(results, results.scale)
    return [judge(claim, by_seed) for claim in all_claims(paper, results.scale)]


def printed_ratios(paper: Paper, scale: str) -> list[str]:
    """How the paper's own numbers, on the data sets of this scale, stand to each claim."""
    return said_by_paper(all_claims(paper, scale), paper.value)


def main(options: Options) -> None:
    """Prints and writes the claims."""
    paper = Paper.load()
    judgements = judge_all(options.results(), paper)
    show_claims(judgements, printed_ratios(paper, options.scale), options.output)


if __name__ == "__main__":
    command(main, __doc__, FOLDER)
