#!/usr/bin/env bash
# Publishes and subscribes at a steady rate through random faults, and checks that every record is accounted for.
#
#     benches/soak.sh [--seconds N] [--rate N] [--library NAME] [--broker embedded|kafka] [--seed N] [--kps BINARY]
#
# The faults: the broker is killed and comes back after a while, or stands still for a while; the reader of a group is
# killed and starts again; the publisher, which has a spool, is killed and starts again. Which, when and how long follows
# from the seed, which is printed. At the end: nothing lost, the first time of each record in order, the books equal to
# what is on the topic; with an idempotent library a record is there twice only if a publisher was killed. Needs python3,
# with --broker kafka Java.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=600 rate=5000 library=native broker=embedded seed=$RANDOM
kps=${CARGO_TARGET_DIR:-target}/release/kps
while (($#)); do
    case $1 in
        --seconds) seconds=$2 ;;
        --rate) rate=$2 ;;
        --library) library=$2 ;;
        --broker) broker=$2 ;;
        --seed) seed=$2 ;;
        --kps) kps=$2 ;;
        *) echo "unknown option $1" >&2; exit 2 ;;
    esac
    shift 2
done
fail() { echo "soak: $*" >&2; exit 1; }
command -v python3 >/dev/null || fail "not installed: python3"
[[ -x $kps ]] || fail "$kps is not there: cargo build --release"
[[ $broker = embedded ]] || tests/kafka/java.sh --check
echo "soak: $seconds s at $rate records/s, library $library, broker $broker, seed $seed"

scratch=$(mktemp -d)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
declare -A pid
end() { # The child of this name, by this signal.
    [[ -n ${pid[$1]:-} ]] || return 0
    kill "-$2" "${pid[$1]}" 2>/dev/null || true
    wait "${pid[$1]}" 2>/dev/null || true
    pid[$1]=
}
trap 'for name in "${!pid[@]}"; do end "$name" KILL; done; rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

broker_up() {
    local address=127.0.0.1:$port
    rm -f "$scratch/address"
    if [[ $broker = embedded ]]; then
        "$kps" broker --listen "$address" --data "$scratch/data" >"$scratch/address" 2>>"$scratch/broker.log" 3>&- &
    else
        tests/kafka/java.sh Broker --dir "$scratch/data" "listeners=PLAINTEXT://$address" \
            broker.session.timeout.ms=2000 broker.heartbeat.interval.ms=250 auto.create.topics.enable=true \
            >"$scratch/address" 2>>"$scratch/broker.log" < <(exec sleep infinity 3>&-) 3>&- &
    fi
    pid[broker]=$!
    until grep -q ":$port" "$scratch/address" 2>/dev/null; do sleep 0.1; done
}
# For a signal to reach a program in the background, the shell must become it.
become() { local command=$1; shift; exec "$kps" "$command" --no-props -b "127.0.0.1:$port" --library "$library" "$@"; }
run() { (become "$@"); }
publisher_up() {
    become publish soak --spool "$scratch/spool" --reconnect-interval 10 --failed-to "$scratch/failed" --summary json \
        <"$scratch/numbers" 2>>"$scratch/publish.log" 3>&- &
    pid[publisher]=$!
}
reader_up() {
    become subscribe soak -g soak --resilient -X auto.offset.reset=earliest -X auto.commit.interval.ms=500 \
        -X session.timeout.ms=6000 \
        >>"$scratch/read" 2>>"$scratch/read.log" 3>&- &
    pid[reader]=$!
}

# --- load -----------------------------------------------------------------------------------------------------------

broker_up
mkfifo "$scratch/numbers"
# Open here, so that it stays when a publisher is killed; nobody else has it open for writing.
exec 3<>"$scratch/numbers"
python3 - "$rate" "$seconds" "$scratch/written" >"$scratch/numbers" <<'PY' 3>&- &
import sys, time
rate, seconds, written = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
start, n = time.monotonic(), 0
while (passed := time.monotonic() - start) < seconds:
    for n in range(n, int(passed * rate)):
        sys.stdout.write("%d\n" % n)
    n = max(n, int(passed * rate))
    sys.stdout.flush()
    time.sleep(0.01)
open(written, "w").write(str(n))
PY
pid[load]=$!
publisher_up
reader_up

# --- faults ---------------------------------------------------------------------------------------------------------

python3 - "$seed" >"$scratch/plan" <<'PY'
import random, sys
rng = random.Random(int(sys.argv[1]))
longest = {"broker-killed": 4, "broker-stopped": 5, "reader-killed": 1, "publisher-killed": 1, "publisher-ended": 0}
for _ in range(10_000):
    fault = rng.choice(["broker-killed", *longest])
    print(f"{rng.uniform(1, 6):.2f} {fault} {rng.uniform(0, longest[fault]):.2f}")
PY
kills=0 faults=0
while read -r pause fault lasts <&4 && ! [[ -s $scratch/written ]]; do
    sleep "$pause"
    faults=$((faults + 1))
    case $fault in
        broker-killed) end broker KILL; sleep "$lasts"; broker_up ;;
        broker-stopped) kill -STOP "${pid[broker]}"; sleep "$lasts"; kill -CONT "${pid[broker]}" ;;
        reader-killed) end reader KILL; sleep "$lasts"; reader_up ;;
        publisher-killed) end publisher KILL; kills=$((kills + 1)); sleep "$lasts"; publisher_up ;;
        publisher-ended) end publisher TERM; publisher_up ;;
    esac
done 4<"$scratch/plan"
wait "${pid[load]}"; pid[load]=

# --- books ----------------------------------------------------------------------------------------------------------

# What is left in the pipe is read, and then its end.
exec 3>&-
wait "${pid[publisher]}" || fail "the last publisher ended with $?: $(tail -3 "$scratch/publish.log")"
pid[publisher]=
run publish soak --spool "$scratch/spool" --summary json </dev/null 2>>"$scratch/publish.log" ||
    fail "draining the spool ended with $?: $(tail -3 "$scratch/publish.log")"
run subscribe soak --exit >"$scratch/topic"
end reader TERM
run subscribe soak -g soak --exit >>"$scratch/read"
python3 - "$scratch" "$library" "$kills" "$faults" <<'PY'
import sys
scratch, library, kills, faults = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
written = int(open(scratch + "/written").read())
topic = [int(line) for line in open(scratch + "/topic")]
read = {int(line) for line in open(scratch + "/read") if line.strip().isdigit()}
seen, last, ordered = set(), -1, True
for value in topic:
    if value not in seen:
        seen.add(value)
        ordered &= value > last
        last = value
twice = len(topic) - len(seen)
lost, unread = written - len(seen), len(seen - read)
print(f"{faults} faults ({kills} publishers killed): {written} written, {len(seen)} on the topic, {lost} lost, "
      f"{twice} twice, {'in order' if ordered else 'OUT OF ORDER'}; the group has not read {unread}")
# Between the pipe and the spool there is what was being read when a publisher was killed.
allowed = 5000 * kills
bad = lost > allowed or not ordered or unread or (twice and library != "rskafka" and not kills)
sys.exit(1 if bad else 0)
PY
