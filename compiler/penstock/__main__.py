"""``python -m penstock``."""

from penstock.program import main

if __name__ == "__main__":
    main()
