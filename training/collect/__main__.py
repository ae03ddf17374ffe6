"""`python -m training.collect DIRECTORY`, started by training.collections."""

from __future__ import annotations

from training.collect.run import main

if __name__ == "__main__":
    main()
