"""Bad input is refused in one line that helps."""

from collections.abc import Callable

import pytest

from xltlib.errors import InputError


def refused(call: Callable, *words: str) -> None:
    """The call raises InputError in one line that holds the words."""
    with pytest.raises(InputError) as error:
        call()
    message = str(error.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message
