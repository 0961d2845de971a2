"""Errors that a user can mend: what was wrong, what is allowed, what to do."""


class InputError(ValueError):
    """A parameter, file or device that cannot be used as asked. Raised before any work is done."""

    def _render_traceback_(self) -> list[str]:
        return [f"InputError: {self}"]  # in a notebook, the message alone: the call stack tells a user nothing


class StoreError(RuntimeError):
    """The store cannot be written (no room, no permission)."""
