"""xltlib: machine translation for cross-lingual transfer, four papers reproduced in notebooks."""

__version__ = "0.1.0"
