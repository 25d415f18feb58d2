"""`automagik completion`: the script that lets a shell complete words."""

from typing import Annotated

import typer

from automagik.cli.completion import Shell, script
from automagik.cli.context import printer

app = typer.Typer()


@app.command()
def completion(
    shell: Annotated[Shell, typer.Argument(metavar="bash|zsh|fish", help="Your shell.")],
) -> None:
    """Print the script that completes commands, options and names in a shell.

    In ~/.bashrc: eval "$(automagik completion bash)". In ~/.zshrc, after compinit: source
    <(automagik completion zsh). In fish it goes into the folder of the example.

    Example: automagik completion fish > ~/.config/fish/completions/automagik.fish
    """
    printer().raw(script(shell))
