"""`python -m kdlib`: the command line. On a machine that lacks a module it says which, in a line each.

Ctrl-C before the command line is there to answer it has nothing to keep, and nothing to say.
"""

try:
    from .cli import main
except ModuleNotFoundError as error:
    from . import needs

    lines, lacking = needs.report()
    if error.name not in {needs.IMPORTED_AS.get(name, name) for name in lacking}:
        raise
    raise SystemExit("\n".join([*lines, f"kdlib: this machine lacks {', '.join(lacking)}"])) from None
except KeyboardInterrupt:
    raise SystemExit(130) from None  # as shells have it

main()
