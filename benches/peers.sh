#!/usr/bin/env bash
# Publishes and subscribes with kps, through each client library, and with kcat, in turn, on one real Kafka, and prints
# medians of wall time, of the client's CPU time (user + system) and of its peak memory, with the ratio to kcat.
#
#     benches/peers.sh [--records N] [--rounds N] [--codec none|gzip|snappy|lz4|zstd] [--partitions N] [--kps BINARY]
#                      [--tools "LIST"]
#
# Records are log-like lines of 100 bytes, the same on every machine. Every publishing run has a fresh topic, whose ends
# are checked; what is subscribed is one topic prepared before (by kcat, with that codec), and what is written is compared
# with the input. Publishing is from a file and from a pipe, subscribing to /dev/null, to a file and to a pipe. Needs
# Java, Maven, python3 and kcat.
set -euo pipefail
cd "$(dirname "$0")/.."

records=2000000 rounds=5 codec=none partitions=1 tools='native rdkafka rskafka kcat'
target=${CARGO_TARGET_DIR:-target}
kps=$target/release/kps
while (($#)); do
    case $1 in
        --records) records=$2 ;;
        --rounds) rounds=$2 ;;
        --codec) codec=$2 ;;
        --partitions) partitions=$2 ;;
        --kps) kps=$2 ;;
        --tools) tools=$2 ;;
        *) echo "unknown option $1" >&2; exit 2 ;;
    esac
    shift 2
done

fail() { echo "peers: $*" >&2; exit 1; }
for command in kcat python3; do command -v $command >/dev/null || fail "not installed: $command"; done
tests/kafka/java.sh --check
[[ -x $kps ]] || fail "$kps is not there: cargo build --release"

# --- input: the same lines everywhere -------------------------------------------------------------------------------

input=$target/bench/lines-$records
if ! [[ -f $input ]]; then
    mkdir -p "$target/bench"
    python3 - "$records" >"$input.part" <<'PY'
import random, sys
rng = random.Random(1)
levels = ["INFO", "INFO", "INFO", "DEBUG", "WARN", "ERROR"]
paths = ["/api/orders", "/api/users", "/health", "/api/cart/items", "/login"]
for n in range(int(sys.argv[1])):
    line = (f"2024-05-01T{n // 3600 % 24:02}:{n // 60 % 60:02}:{n % 60:02}.{n % 1000:03}Z {rng.choice(levels):5} "
            f"GET {rng.choice(paths)} status={rng.choice((200, 200, 200, 404, 500))} ms={rng.randrange(2000)} id=")
    sys.stdout.write(line + f"{rng.getrandbits(256):064x}"[:100 - len(line)] + "\n")
PY
    mv "$input.part" "$input"
fi

# --- broker and its helper: both end when their standard input does -------------------------------------------------

scratch=$(mktemp -d)
trap 'exec 3>&- 4>&-; wait; rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM
mkfifo "$scratch"/{broker,address,questions,answers}
# Tuned as a server is, not as a test fixture: with the optimising compiler and the usual collector.
KPS_TEST_JAVA_OPTS='-Xmx1g -XX:TieredStopAtLevel=4 -XX:-UseSerialGC -XX:+UseG1GC' \
    tests/kafka/java.sh Broker log.segment.delete.delay.ms=1000 \
    <"$scratch/broker" >"$scratch/address" 2>"$scratch/log" &
exec 3>"$scratch/broker"
read -r broker <"$scratch/address" || fail "no broker: $(cat "$scratch/log")"
tests/kafka/java.sh Helper "bootstrap.servers=$broker" <"$scratch/questions" >"$scratch/answers" 3>&- &
exec 4>"$scratch/questions" 5<"$scratch/answers"

# Asks the helper and leaves what it says in $answer.
ask() {
    printf '%s\n' "$1" >&4
    read -r answer <&5
    [[ $answer == '{"ok":'* ]] || fail "$1: $answer"
}
create() { ask "{\"do\":\"create_topic\",\"topic\":\"$1\",\"partitions\":$partitions}"; }
delete() { ask "{\"do\":\"delete_topic\",\"topic\":\"$1\"}"; }
holds_all() {
    ask "{\"do\":\"end_offsets\",\"topic\":\"$1\"}"
    local ends=${answer#*[}
    ((0+$(tr , + <<<"${ends%%]*}") == records)) || fail "$1 should have $records records: $answer"
}

# --- one run --------------------------------------------------------------------------------------------------------

publish() { # TOOL TOPIC: leaves the command in $run
    case $1 in
        kcat) run=(kcat -P -b "$broker" -t "$2" -z "$codec") ;;
        *) run=("$kps" publish "$2" --no-props -b "$broker" --library "$1" -z "$codec" -q) ;;
    esac
}
subscribe() { # TOOL TOPIC
    case $1 in
        kcat) run=(kcat -C -b "$broker" -t "$2" -o beginning -e -q) ;;
        *) run=("$kps" subscribe "$2" --no-props -b "$broker" --library "$1" -q --exit) ;;
    esac
}

# Runs $run with its input from FILE, its output in FILE (either through a pipe if it begins with |), and prints: wall
# seconds, CPU seconds, peak MB (which cannot show less than the 10 MB or so of the python3 that starts it).
measure() { # INPUT OUTPUT
    python3 - "$1" "$2" "${run[@]}" 3>&- 4>&- 5<&- <<'PY'
import os, subprocess, sys, time
piped = [name.startswith("|") for name in sys.argv[1:3]]
source, sink = open(sys.argv[1].lstrip("|"), "rb"), open(sys.argv[2].lstrip("|"), "wb")
pipe, before, after = subprocess.PIPE, None, None
if piped[0]:
    before = subprocess.Popen(["cat"], stdin=source, stdout=pipe)
started = time.perf_counter()
child = subprocess.Popen(sys.argv[3:], stdin=before.stdout if before else source, stdout=pipe if piped[1] else sink)
if before:
    before.stdout.close()
if piped[1]:
    after = subprocess.Popen(["cat"], stdin=child.stdout, stdout=sink)
    child.stdout.close()
_, status, usage = os.wait4(child.pid, 0)
if after:
    after.wait()
wall = time.perf_counter() - started
if status:
    sys.exit(f"peers: {' '.join(sys.argv[3:])}: exit {os.waitstatus_to_exitcode(status)}")
print(f"{wall:.3f} {usage.ru_utime + usage.ru_stime:.3f} {usage.ru_maxrss / 1024:.1f}")
PY
}

# What was written is the input; of several partitions, in any order.
same() { # TOOL
    if ((partitions == 1)); then
        cmp "$input" "$scratch/out"
    else
        cmp <(LC_ALL=C sort "$input") <(LC_ALL=C sort "$scratch/out")
    fi || fail "$1 wrote something else"
}

results=$scratch/results
note() { # TASK TOOL FIGURES
    echo "$round $1 $2 $3" | tee -a "$results"
}

# --- rounds ---------------------------------------------------------------------------------------------------------

uname -srm
nproc | sed 's/$/ cores/'
"$kps" --version || true
kcat -V 2>&1 | grep -i librdkafka || true
echo "Apache Kafka $(sed -n 's|.*<kafka.version>\(.*\)</kafka.version>.*|\1|p' tests/kafka/pom.xml)"
echo "records $records, rounds $rounds, codec $codec, partitions $partitions"
echo

create prepared
publish kcat prepared
measure "$input" /dev/null >/dev/null # This one also warms the broker up.
holds_all prepared

echo "round task tool wall_s cpu_s peak_mb"
order=($tools)
for ((round = 1; round <= rounds; round++)); do
    for from in "" "|"; do
        for tool in "${order[@]}"; do
            create "p-$round-$tool"
            publish "$tool" "p-$round-$tool"
            note "publish${from:+-pipe}" "$tool" "$(measure "$from$input" /dev/null)"
            holds_all "p-$round-$tool"
            delete "p-$round-$tool"
        done
    done
    for to in null file pipe; do
        case $to in
            null) output=/dev/null ;;
            file) output=$scratch/out ;;
            pipe) output="|$scratch/out" ;;
        esac
        for tool in "${order[@]}"; do
            subscribe "$tool" prepared
            note "subscribe-$to" "$tool" "$(measure /dev/null "$output")"
            [[ $to == null ]] || same "$tool"
        done
    done
    order=("${order[@]:1}" "${order[0]}") # Whoever comes first changes from round to round.
done

# --- medians --------------------------------------------------------------------------------------------------------

python3 - "$results" "$records" <<'PY'
import statistics, sys
runs = {}
for line in open(sys.argv[1]):
    _, task, tool, *figures = line.split()
    runs.setdefault(task, {}).setdefault(tool, []).append([float(f) for f in figures])
print("\n| task | tool | wall s | min-max | CPU s | min-max | peak MB | k records/s | wall / kcat | CPU / kcat |")
print("|---|---|---|---|---|---|---|---|---|---|")
for task, tools in runs.items():
    median = {tool: [statistics.median(c) for c in zip(*figures)] for tool, figures in tools.items()}
    kcat = median.get("kcat")
    for tool, figures in tools.items():
        wall, cpu, peak = median[tool]
        spread = [f"{min(c):.2f}-{max(c):.2f}" for c in zip(*figures)]
        ratio = [f"{wall / kcat[0]:.2f}", f"{cpu / kcat[1]:.2f}"] if kcat else ["", ""]
        rate = int(sys.argv[2]) / wall / 1000
        print(f"| {task} | {tool} | {wall:.2f} | {spread[0]} | {cpu:.2f} | {spread[1]} | {peak:.0f} | {rate:.0f} "
              f"| {ratio[0]} | {ratio[1]} |")
PY
