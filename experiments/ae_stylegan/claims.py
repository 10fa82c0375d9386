"""Which claims of the paper, and of our own reading of its code, the recorded runs bear out.

``python -m experiments.ae_stylegan.claims --scale cpu`` (from the top of the checkout) prints them and writes them into
``experiments/ae_stylegan/out/<scale>/``.

The claims and their bounds stand in ``statements.py``, the rules of their verdicts in ``aestyle/studies/claims.py``.
"""

from aestyle.studies.claims import Judgement, judge, said_by_paper, show_claims
from aestyle.studies.results import Results
from experiments.ae_stylegan.options import Options, command
from experiments.ae_stylegan.paper import Paper
from experiments.ae_stylegan.statements import all_claims


def judge_all(results: Results, paper: Paper, scale: str) -> list[Judgement]:
    """Every claim on the recorded runs of a scale."""
    by_seed = paper.by_seed(results, scale)
    return [judge(claim, by_seed) for claim in all_claims(paper, scale)]


def printed_ratios(paper: Paper) -> list[str]:
    """How the paper's own numbers stand to each claim."""
    return said_by_paper(all_claims(paper, "paper"), paper.value)


def main(options: Options) -> None:
    """Prints and writes the claims."""
    paper = Paper.load()
    judgements = judge_all(options.results(), paper, options.scale)
    show_claims(judgements, printed_ratios(paper), options.output)


if __name__ == "__main__":
    command(main, __doc__)
