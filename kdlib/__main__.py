"""`python -m kdlib`: the command line."""

from .cli import main

main()
