#!/usr/bin/env bash
# Nodes find each other by multicast, in a network namespace of their own: nothing leaves this machine.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo test -p farshore-net --test mdns --locked --no-run
unshare -n bash -euc '
  ip link set lo up
  ip link add lan type veth peer name nal
  ip addr add 10.9.0.1/24 dev lan
  ip link set lan up
  ip link set nal up
  ip route add 224.0.0.0/4 dev lan
  cargo test -p farshore-net --test mdns --locked --offline -- --ignored'
