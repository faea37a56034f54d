# Runs inside a mount namespace: see tests/full_disk.sh. Argument: the binary.
farshore=$(realpath "$1")
disk=$(mktemp -d)
mount -t tmpfs -o size=12m tmpfs "$disk"
up=
trap '[ -z "$up" ] || kill "$up" 2>/dev/null || true; umount -l "$disk"; rmdir "$disk"' EXIT
fail() { echo "error: $*" >&2; exit 1; }
run() { "$farshore" --store "$disk/a.fsh" "$@"; }
wait_for() { # seconds, what, command: looks until it succeeds
  local n=$(($1 * 10)) what=$2; shift 2
  until "$@" >/dev/null 2>&1; do n=$((n - 1)); [ $n -gt 0 ] || fail "$what did not come about"; sleep 0.1; done
}
full() { # exit code, output: whether that is how a full disk is told
  [ "$1" = 1 ] || fail "exit code $1, not 1: $2"
  grep -qi 'no space left' <<<"$2" || fail "it does not say that there is no space left: $2"
  grep -qi 'free some' <<<"$2" || fail "it does not say what to do: $2"
}
sound() { run check >/dev/null || fail "the store is damaged after $1"; }

echo "an import that fills the disk"
head -c 4M /dev/zero > "$disk/filler"
run --quiet init >/dev/null
run space create home >/dev/null
set +e; said=$(run import airports crates/cli/data/airports.csv.gz --key icao 2>&1); code=$?; set -e
full "$code" "$said"
kept=$(run digest airports | awk '/^documents/ { gsub(",", "", $2); print $2 }')
echo "  said: $(tail -n 2 <<<"$said" | tr '\n' ' ')"
echo "  $kept documents are there"
sound "a full disk"

echo "a running device on a full disk"
rm "$disk/filler"
"$farshore" --store "$disk/a.fsh" up --listen 127.0.0.1:0 --no-mdns --no-quic >/dev/null 2>&1 & up=$!
wait_for 30 "a running device" test -S "$disk/a.fsh.run/sock"
blob=$(head -c 40000 /dev/urandom | base64 -w 0)
acknowledged=()
for n in $(seq 1 1000); do
  set +e
  said=$(printf '{"n":%s,"blob":"%s"}' "$n" "$blob" | run put blobs --key "k$n" - 2>&1)
  code=$?; set -e
  [ $code = 0 ] || break
  acknowledged+=("k$n")
done
full "$code" "$said"
[ "${#acknowledged[@]}" -gt 3 ] || fail "only ${#acknowledged[@]} documents went in"
echo "  ${#acknowledged[@]} documents acknowledged, then: $said"
wait_for 20 "reading on a full disk" run get blobs "${acknowledged[0]}" n
mount -o remount,size=40m "$disk"
wait_for 60 "writing after there was room" run put blobs --key after n:=1
missing=0
for key in "${acknowledged[@]}" after; do run get blobs "$key" n >/dev/null 2>&1 || missing=$((missing + 1)); done
[ $missing = 0 ] || fail "$missing acknowledged documents are missing"
kill -INT "$up"; wait "$up" || fail "the device did not end well"; up=
for key in "${acknowledged[@]}" after; do run get blobs "$key" n >/dev/null || fail "$key is missing after reopening"; done
[ "$(run digest airports | awk '/^documents/ { gsub(",", "", $2); print $2 }')" = "$kept" ] || fail "imported documents are missing"
sound "writing went on"
echo "every acknowledged document is there, and writing goes on"
