"""`python -m training.adopter SOURCE DEST`: make a model directory a base of ours, in a process of its own.

It needs torch, and a damaged file must not take the web process down. Says what is wrong in the last line of
standard error, as JSON that can be said in any language, exit status 1. Knows no rows.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from training.ml import bundle
from training.ml.errors import PipelineError


def adopt(source: Path, dest: Path) -> None:
    """A directory of this product is checked and copied, a foreign one is adapted."""
    if (source / bundle.MANIFEST).is_file():
        bundle.verify(source)
        bundle.publish(source, dest)
        return
    from training.ml.adopt import adopt_base  # torch and transformers

    adopt_base(source, dest)


def main() -> None:
    source, dest = map(Path, sys.argv[1:3])
    try:
        adopt(source, dest)
    except PipelineError as error:
        sys.exit(json.dumps(error.words))


if __name__ == "__main__":
    main()
