"""``python -m tsdistill`` is the command ``tsdistill``."""

from tsdistill.cli import main

if __name__ == "__main__":
    main()
