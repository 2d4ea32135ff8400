"""``python -m mrtrade``."""

from mrtrade.cli import main

if __name__ == "__main__":
    main()
