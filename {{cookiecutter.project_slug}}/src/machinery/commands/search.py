"""The command that searches for better hyperparameters."""

import time
from typing import Annotated

import typer

app = typer.Typer()


@app.command(epilog="Example: search boosting --minutes 30")
def search(
    model: Annotated[str, typer.Argument(help="One of train.models, with ranges in search.")],
    features: Annotated[
        str | None, typer.Option(help="One of train.feature_sets (the last).")
    ] = None,
    minutes: Annotated[float, typer.Option(min=0.01, max=10_000, help="Time budget.")] = 10,
) -> None:
    """Try hyperparameters in the ranges of params.yaml, and make a branch of the best.

    Each trial is an experiment (`dvc exp show`), scored by cross-validation without reading the
    test table. Run it again to go on.
    """
    from machinery.pipeline import params as sections
    from machinery.search.search import Search

    search = Search(model, features or sections.load(sections.Train).feature_sets[-1])
    if search.trials:
        print(f"Going on after {len(search.trials)} trials of this commit")
    start = time.monotonic()
    try:
        for trial in search.run(minutes):
            left = max(0.0, minutes - (time.monotonic() - start) / 60)
            chosen = ", ".join(f"{name} {value}" for name, value in trial.hyperparameters.items())
            mark = " (best)" if trial is search.best else ""
            print(f"{trial.name}: {trial.mean:.5f}{mark}, {chosen}; {left:.1f} min left")
    except KeyboardInterrupt:
        print("Stopped; run it again to go on")
    if not search.trials:
        raise typer.Exit(130)
    first, best = search.trials[0], search.best
    print(f"{search.headline}, mean of the folds: {first.mean:.5f} now, {best.mean:.5f} at best")
    if best is first:
        print("No trial is better than the current hyperparameters.")
        return
    gain, error = best.gain_over(first)
    print(f"{best.name} differs by {gain:+.5f} ± {error:.5f} (standard error over the folds);")
    print(f"the best of {len(search.trials)} trials is optimistic: expect less on new data.")
    branch = search.branch()
    print(f"Review it with 'git diff HEAD {branch} -- params.yaml', and use it with")
    print(f"    git switch {branch} && dvc repro && git add . && git commit")
