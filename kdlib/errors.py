"""Errors that a user can mend: what was wrong, what is allowed, what to do."""


class InputError(ValueError):
    """A parameter, file, device or notebook that cannot be used as asked; raised before work that it would waste."""

    def _render_traceback_(self) -> list[str]:
        return [f"InputError: {self}"]  # in a notebook, the message alone: the call stack tells a user nothing


class DataNotFoundError(InputError):
    """A known data set of which no file lies in the data folder: where it was looked for, and what gets it."""


class NotebookError(InputError):
    """A notebook that did not run to its end: which cell and line, and what was raised there."""


class StoreError(RuntimeError):
    """The store could not be written or read in the midst of work: no room, no permission, an error of the disk."""
