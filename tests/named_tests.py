#!/usr/bin/env python3
"""The tests that docs/guarantees.md and docs/bad-input.md name exist: a renamed one would leave a promise without its test."""
import pathlib
import re
import sys

root = pathlib.Path(__file__).resolve().parent.parent
missing, found = [], 0
for doc in ["docs/guarantees.md", "docs/bad-input.md"]:
    file = None
    for name in re.findall(r"`([^`\s]+)`", (root / doc).read_text()):
        path, _, test = name.partition("::")
        if path.endswith(".rs"):
            file = root / "crates" / path
        elif re.fullmatch(r"(tests|docs)/.*\.(sh|py)", name):
            found += 1
            if not (root / name).exists():
                missing.append(f"{doc}: {name}")
            continue
        elif path or not test or file is None:
            continue
        found += 1
        text = file.read_text() if file.exists() else ""
        if test and not re.search(rf"\bfn {re.escape(test)}\b", text) or not text:
            missing.append(f"{doc}: {file.relative_to(root)}::{test}")
print(f"{found} tests are named in the docs")
for name in missing:
    print(f"error: {name} does not exist", file=sys.stderr)
sys.exit(bool(missing) or found < 80)
