#!/usr/bin/env bash
# What keeps core from building for wasm32-unknown-unknown, read from its tree of dependencies: so it is noticed also where the
# target is not installed. Each of the three has a reason: there is no C compiler's output to link there, no source of
# randomness unless a feature names the browser's, and no clock.
set -euo pipefail
cd "$(dirname "$0")/.."
tree=$(cargo tree -p farshore-core --locked --target wasm32-unknown-unknown -e normal,build --prefix none -f '{p} [{f}]' | sed 's/ (\*)$//' | sort -u)
fail() { echo "error: $*" >&2; exit 1; }
for c in cmake ring aws-lc-sys libz-sys zstd-sys bindgen; do
  ! grep -q "^$c v" <<<"$tree" || fail "core depends on $c, which builds C: $(cargo tree -p farshore-core --locked --target wasm32-unknown-unknown -i "$c" | head -n 5)"
done
# blake3 names cc, and does not call it with its feature `pure`.
while read -r user; do
  [[ $user == blake3\ v*pure* ]] || fail "this builds C: $user"
done < <(cargo tree -p farshore-core --locked --target wasm32-unknown-unknown -i cc --depth 1 --prefix none -f '{p} [{f}]' 2>/dev/null | grep -v '^cc v' | grep -v '^\[build' || true)
for clock in instant web-time chrono time tokio; do
  ! grep -q "^$clock v" <<<"$tree" || fail "core depends on $clock, which reads a clock"
done
while read -r line; do
  grep -q 'wasm_js' <<<"$line" || fail "without its feature wasm_js this does not compile for wasm32: $line"
done < <(grep '^getrandom v' <<<"$tree")
echo "nothing in core's $(wc -l <<<"$tree") packages needs C, a clock, or randomness without a source"
