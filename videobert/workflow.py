"""Where the workflow lies: in a checkout at its top, in an installed package in its folder `share`."""

from pathlib import Path

from videobert.errors import UserError

PACKAGE = Path(__file__).resolve().parent


def workflow() -> None:
    """Print the path of the Snakefile, for snakemake's --snakefile.

    snakemake --snakefile "$(videobert workflow)" --cores all

    Beside it lie the profile that it is run with, envs/ (for --sdm conda), and config/ with configurations to start from.
    In a folder without a config.yaml it runs the built-in corpus; results are written where you are.
    """
    print(snakefile())


def snakefile() -> Path:
    """The path of the Snakefile. Raises UserError where the package was taken without it."""
    for folder in (PACKAGE / "share", PACKAGE.parent):
        if (folder / "workflow" / "Snakefile").is_file():
            return folder / "Snakefile"
    raise UserError(f"no Snakefile lies in {PACKAGE / 'share'} or {PACKAGE.parent}: install the package again")
