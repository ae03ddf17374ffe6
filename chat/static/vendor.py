"""Copies the front-end packages that the pages use from npm into `vendor/`, or checks that the copies are whole.

    python chat/static/vendor.py          needs npm and the network; run it after a change of package.json
    python chat/static/vendor.py --check  needs neither: files against VENDORED.json, versions against the lock

The copies are committed, so a site needs no Node. Knows nothing of Django.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
VENDOR = HERE / "vendor"
MANIFEST = VENDOR / "VENDORED.json"

# package -> (directory below vendor/, files we serve)
FILES: dict[str, tuple[str, tuple[str, ...]]] = {
    "marked": ("marked", ("lib/marked.esm.js",)),
    "dompurify": ("dompurify", ("dist/purify.min.js", "LICENSE-MPL")),
    "@highlightjs/cdn-assets": ("highlight", ("es/highlight.min.js",)),
    "uplot": ("uplot", ("dist/uPlot.iife.min.js", "dist/uPlot.min.css")),
}

# A hashed-names static storage stops at a source map that is not there.
SOURCE_MAP = re.compile(rb"\n?(//|/\*)[#@] sourceMappingURL=[^\n*]*(\*/)?")


def sha384(path: Path) -> str:
    return "sha384-" + base64.b64encode(hashlib.sha384(path.read_bytes()).digest()).decode()


def locked() -> dict[str, dict[str, Any]]:
    lock = json.loads((HERE / "package-lock.json").read_text())
    return {name.removeprefix("node_modules/"): entry for name, entry in lock["packages"].items()}


def copy_package(name: str, lock: dict[str, Any]) -> dict[str, Any]:
    """Copy one package's files; returns its entry for VENDORED.json."""
    folder, wanted = FILES[name]
    source, target = HERE / "node_modules" / name, VENDOR / folder
    target.mkdir(parents=True)
    for path in (*(source / file for file in wanted), source / "LICENSE"):
        (target / path.name).write_bytes(SOURCE_MAP.sub(b"", path.read_bytes()))
    return {
        "name": name,
        "version": lock["version"],
        "licence": lock["license"],
        "integrity": lock["integrity"],
        "files": {f"{folder}/{path.name}": sha384(path) for path in sorted(target.iterdir())},
    }


def vendor() -> None:
    subprocess.run(
        ["npm", "ci", "--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund"],
        cwd=HERE,
        check=True,
    )
    shutil.rmtree(VENDOR, ignore_errors=True)
    lock = locked()
    packages = [copy_package(name, lock[name]) for name in sorted(FILES)]
    MANIFEST.write_text(json.dumps({"packages": packages}, indent=2) + "\n")


def problems() -> list[str]:
    """What differs from VENDORED.json and the lock, one line each; empty when all is well."""
    packages = json.loads(MANIFEST.read_text())["packages"]
    lock = locked()
    found = [
        f"{package['name']}: {key} is not the locked one"
        for package in packages
        for key in ("version", "integrity")
        if package[key] != lock[package["name"]][key]
    ]
    expected = {name: digest for package in packages for name, digest in package["files"].items()}
    present = {
        str(path.relative_to(VENDOR)): sha384(path)
        for path in VENDOR.rglob("*")
        if path.is_file() and path != MANIFEST
    }
    found += [f"missing: {name}" for name in sorted(expected.keys() - present.keys())]
    found += [f"not in VENDORED.json: {name}" for name in sorted(present.keys() - expected.keys())]
    found += [
        f"changed: {name}"
        for name in sorted(expected.keys() & present.keys())
        if expected[name] != present[name]
    ]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="verify the copies; changes nothing, uses no network")
    if not parser.parse_args().check:
        vendor()
    found = problems()
    for line in found:
        sys.stderr.write(f"vendor: {line}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
