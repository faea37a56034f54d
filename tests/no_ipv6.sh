#!/usr/bin/env bash
# IPv6 switched off: devices meet over IPv4, and who asks for an IPv6 address is told that it is off.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build -p farshore-cli --locked --quiet
bin=$(realpath "${CARGO_TARGET_DIR:-target}/debug/farshore")
source tests/support/two_devices.sh
two_namespaces
for ns in "$ns_ada" "$ns_ben"; do
  ip netns exec "$ns" sh -c 'echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6'
  ip netns exec "$ns" sh -c 'echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6'
done
[ -z "$(ip -n "$ns_ada" -6 addr)" ] || fail "IPv6 could not be switched off"
both_up
meet_by_ticket
status=$(ada status)
grep -q '/ip4/10.9.1.1/' <<<"$status" || fail "Ada does not listen on IPv4: $status"
! grep -q '/ip6/' <<<"$status" || fail "Ada says that she listens on IPv6: $status"
set +e; said=$(ip netns exec "$ns_ada" "$bin" --store "$dir/ada2.fsh" init 2>&1 >/dev/null && ip netns exec "$ns_ada" "$bin" --store "$dir/ada2.fsh" up --listen '[::1]:0' 2>&1); code=$?; set -e
[ $code = 5 ] || fail "exit code $code, not 5: $said"
grep -q 'is IPv6 off' <<<"$said" || fail "it does not say that IPv6 may be off: $said"
echo "without IPv6: they met by ticket over IPv4; for an IPv6 address: $(grep -m 1 -o 'this machine does not.*' <<<"$said")"
