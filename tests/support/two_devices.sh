# Functions for scripts with two devices in two network namespaces, joined by a veth pair. To be sourced; the caller has set
# `bin`, the binary. The namespaces and all processes go with the script.
dir=$(mktemp -d)
ns_ada="fs-ada-$$" ns_ben="fs-ben-$$"
pids=()
clean_up() {
  for pid in "${pids[@]+"${pids[@]}"}"; do kill "$pid" 2>/dev/null || true; done
  ip netns del "$ns_ada" 2>/dev/null || true
  ip netns del "$ns_ben" 2>/dev/null || true
  rm -rf "$dir"
}
trap clean_up EXIT
fail() { echo "error: $*" >&2; for log in "$dir"/*.log; do echo "-- $log" >&2; tail -n 20 "$log" >&2; done; exit 1; }

# Both namespaces with one wire between them: 10.9.1.1 and 10.9.1.2.
two_namespaces() {
  ip netns add "$ns_ada"
  ip netns add "$ns_ben"
  ip link add wire netns "$ns_ada" type veth peer name wire netns "$ns_ben"
  local n=1 ns
  for ns in "$ns_ada" "$ns_ben"; do
    ip -n "$ns" addr add "10.9.1.$n/24" dev wire
    ip -n "$ns" link set lo up
    ip -n "$ns" link set wire up
    n=$((n + 1))
  done
}
ada() { ip netns exec "$ns_ada" "$bin" --store "$dir/ada.fsh" "$@"; }
ben() { ip netns exec "$ns_ben" "$bin" --store "$dir/ben.fsh" "$@"; }
wait_for() { # seconds, what, command: looks until it succeeds
  local n=$(($1 * 5)) what=$2; shift 2
  until "$@" >/dev/null 2>&1; do n=$((n - 1)); [ $n -gt 0 ] || fail "$what did not come about"; sleep 0.2; done
}
both_up() {
  ada --quiet init --name ada >/dev/null
  ben --quiet init --name ben >/dev/null
  # Not through the functions, whose process would be a shell's.
  ip netns exec "$ns_ada" "$bin" --store "$dir/ada.fsh" up >"$dir/ada.log" 2>&1 & pids+=($!)
  ip netns exec "$ns_ben" "$bin" --store "$dir/ben.fsh" up >"$dir/ben.log" 2>&1 & pids+=($!)
  wait_for 30 "Ada's device" test -S "$dir/ada.fsh.run/sock"
  wait_for 30 "Ben's device" test -S "$dir/ben.fsh.run/sock"
  ada space create home >/dev/null
  ada put todos --key milk title=Milk >/dev/null
}
same() { [ "$(ada digest todos)" = "$(ben digest todos)" ]; }
meet_by_ticket() {
  ben join "$(ada --json invite | python3 -c 'import json,sys; print(json.loads(sys.stdin.readline())["item"]["ticket"])')" >/dev/null
  wait_for 30 "agreement" same
  ben edit todos milk set title 'Oat milk' >/dev/null
  wait_for 30 "Ben's edit at Ada's" sh -c "ip netns exec $ns_ada $bin --store $dir/ada.fsh get todos milk | grep -q Oat"
  wait_for 30 "agreement" same
}
