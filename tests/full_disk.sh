#!/usr/bin/env bash
# A disk that is really full: a tmpfs of a few MiB in a mount namespace of its own, and the real binary on it.
# What was acknowledged is there, the error says what to do, and writing goes on when there is room again.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build -p farshore-cli --locked --quiet
exec unshare -m bash -euo pipefail tests/support/full_disk.sh "${CARGO_TARGET_DIR:-target}/debug/farshore"
