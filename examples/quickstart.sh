#!/bin/sh
# Builds kps, starts a Kafka, publishes a million numbers and reads them back, through each client library.
# Needs Java and Maven for the Kafka, which ends with this script.
set -eu
cd "$(dirname "$0")/.."

numbers=1000000
target=${CARGO_TARGET_DIR:-target}
kps=$target/release/kps

tests/kafka/java.sh --check
pkg-config --exists openssl 2>/dev/null || set -- --features vendored "$@"
cargo build --locked --release "$@"

# The broker ends when its standard input does: when this script does, however that happens.
scratch=$(mktemp -d)
trap 'exec 3>&-; wait; rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM
mkfifo "$scratch/stdin" "$scratch/address"
echo '$ tests/kafka/java.sh Broker'
tests/kafka/java.sh Broker <"$scratch/stdin" >"$scratch/address" 2>"$scratch/log" &
exec 3>"$scratch/stdin"
read -r broker <"$scratch/address" || { cat "$scratch/log" >&2; exit 1; }
echo "$broker"

for library in rdkafka rskafka; do
    topic=numbers-$library
    printf '\n$ seq 1 %s | kps publish %s -b %s --library %s\n' "$numbers" "$topic" "$broker" "$library"
    seq 1 "$numbers" | "$kps" publish "$topic" -b "$broker" --library "$library" 3>&-

    printf '$ kps subscribe %s -b %s --library %s --exit | sort -n | tail -1\n' "$topic" "$broker" "$library"
    "$kps" subscribe "$topic" -b "$broker" --library "$library" --exit 3>&- >"$scratch/read"
    sort -n "$scratch/read" >"$scratch/sorted"
    tail -1 "$scratch/sorted"
    seq 1 "$numbers" | cmp - "$scratch/sorted" || { echo "$library: not what was published" >&2; exit 1; }
done
printf '\nall %s numbers came back, through each library\n' "$numbers"
