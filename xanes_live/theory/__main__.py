"""``python -m xanes_live.theory``: the same command without the rest of the program."""

import typer

from xanes_live.theory.cli_theory import theory_command

if __name__ == "__main__":
    typer.run(theory_command)
