"""``python -m diapipe``: the same as the command ``diapipe``."""

import sys

from diapipe.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
