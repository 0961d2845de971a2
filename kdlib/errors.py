"""Errors that a user can mend: what was wrong, what is allowed, what to do."""


class InputError(ValueError):
    """A parameter, file or device that cannot be used as asked. Raised before any work is done."""

    def _render_traceback_(self) -> list[str]:
        return [f"InputError: {self}"]  # in a notebook, the message alone: the call stack tells a user nothing


class DataNotFoundError(InputError):
    """A known data set of which no file lies in the data folder: where it was looked for, and what gets it."""


class NotebookError(InputError):
    """A notebook that did not run to its end: which cell and line, and what was raised there."""


class StoreError(RuntimeError):
    """The store cannot be written or read (no room, no permission, an error of the disk)."""
