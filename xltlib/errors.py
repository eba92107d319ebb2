"""The one error that a user's mistake raises."""


class InputError(ValueError):
    """Bad input, told in one line that names what is wrong, where (file, row), and the remedy."""
