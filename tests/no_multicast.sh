#!/usr/bin/env bash
# A network without multicast: `status` says that devices are not found by themselves, and a ticket's addresses work all the same.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build -p farshore-cli --locked --quiet
bin=$(realpath "${CARGO_TARGET_DIR:-target}/debug/farshore")
source tests/support/two_devices.sh
two_namespaces
for ns in "$ns_ada" "$ns_ben"; do
  ip -n "$ns" link set dev wire multicast off
  ip netns exec "$ns" sh -c 'echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6' # else its link-local route would carry multicast
done
both_up
says_so() { ada status | grep -q 'mDNS: devices on this network are not found'; }
wait_for 30 "a word about multicast in Ada's status" says_so
meet_by_ticket
echo "without multicast: $(ada status | grep -o 'mDNS: .*')"
