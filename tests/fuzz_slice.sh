#!/usr/bin/env bash
# A slice of every fuzzer: builds the targets with coverage instrumentation and lets each run for some seconds, from its committed
# corpus on. The long hours are `./prove fuzz`; the corpora are replayed by `cargo test` without any fuzzer, too.
# FARSHORE_FUZZ_SLICE_S=8 is the time of each target in seconds: eleven targets, so under two minutes, and the build before.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! command -v c++ >/dev/null 2>&1; then # libFuzzer is C++
  [ "$(id -u)" = 0 ] || { echo "error: no C++ compiler for libFuzzer: install g++"; exit 1; }
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq g++ >/dev/null
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
FARSHORE_FUZZ_WORK=$work fuzz/run --seconds "${FARSHORE_FUZZ_SLICE_S:-8}"
# A target that ran nothing, or did not run, would pass unnoticed.
awk -F'\t' -v targets="$(fuzz/run --list | wc -l)" '$6 < 10 {print "error: " $3 " ran only " $6 " inputs"; bad = 1}
  END {if (NR != targets) {print "error: " NR " of " targets " targets ran"; bad = 1} exit bad}' "$work/runs.tsv"
