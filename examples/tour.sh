#!/bin/sh
# What kps does, in a script that checks it: run it as `kps broker -- examples/tour.sh`. A test of your own looks the same:
# the broker is there before it begins and goes with it, every kps in it knows the address from KPS_BOOTSTRAP_SERVER, and
# the exit code is that of the script.
set -eu
: "${KPS_BOOTSTRAP_SERVER:?run it under a broker: kps broker -- $0}"

count=100000
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
cd "$scratch"

# Shows a command line and runs it.
run() {
    printf '\n$ %s\n' "$1"
    eval "$1"
}

# Compares what was read with what should have been; a difference ends the script.
check() { # READ EXPECTED WHAT
    cmp "$1" "$2" || { echo "WRONG: $3" >&2; exit 1; }
    echo "right: $3"
}

seq 1 "$count" >expected

# A record a line; every one is acknowledged, or counted and named.
run "seq 1 $count | kps publish numbers"
run 'kps subscribe numbers --exit >read'
check read expected "all $count records, in order"

# A group goes on where it stopped: what was written is committed, no more and no less.
run 'kps subscribe numbers -g readers -o beginning -n 40000 >first'
run 'kps subscribe numbers -g readers --exit >rest'
cat first rest >both
check both expected 'two runs of one group read every record once'

# From one topic through a filter into another.
run "kps subscribe numbers --exit | sed 's/\$/0/' | kps publish tens"
run 'kps subscribe tens --exit >tens'
seq 10 10 "${count}0" >expected-tens
check tens expected-tens 'every record went through the pipeline, in order'

printf '\nall right: published, subscribed and checked on the embedded broker at %s\n' "$KPS_BOOTSTRAP_SERVER"
