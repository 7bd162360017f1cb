#!/bin/sh
# Runs a Java class with Apache Kafka on the class path: one of ours (Broker, Helper) or one of Kafka's own tools.
#
#     tests/kafka/java.sh Broker                       a Kafka for trying things out; prints its address, ends on Ctrl-D
#     tests/kafka/java.sh org.apache.kafka.tools.TopicCommand --bootstrap-server ... --list
#     tests/kafka/java.sh --check                      exit 0 when everything needed is installed, else says what is not
#
# The jars come through Maven once, into target/kafka; several of these may start at once.
# KPS_TEST_JAVA_OPTS adds JVM options.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=${CARGO_TARGET_DIR:-$here/../../target}/kafka
libs=$cache/libs-$(cksum <"$here/pom.xml" | cut -d ' ' -f 1)
classes=$cache/classes-$(cat "$here/pom.xml" "$here"/*.java | cksum | cut -d ' ' -f 1)

# What is needed and not installed, as a list of commands.
missing() {
    needed='java javac'
    [ -d "$libs" ] || needed="$needed mvn"
    for command in $needed; do
        command -v "$command" >/dev/null || printf ' %s' "$command"
    done
}

# Fills both folders. Each gets its name only when it is complete, so that an interrupted run leaves nothing half done;
# the lock keeps two Mavens from writing to one local repository.
prepare() {
    mkdir -p "$cache"
    exec 9>"$cache/lock"
    if command -v flock >/dev/null; then flock 9; fi
    if ! [ -d "$libs" ]; then
        rm -rf "$libs.part"
        mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies -DoutputDirectory="$libs.part" >&2
        mv "$libs.part" "$libs"
    fi
    if ! [ -d "$classes" ]; then
        rm -rf "$classes.part"
        javac -nowarn -d "$classes.part" -cp "$libs/*" "$here"/*.java >&2
        mv "$classes.part" "$classes"
    fi
    exec 9>&-
}

absent=$(missing)
if [ -n "$absent" ]; then
    echo "not installed:$absent" >&2
    echo "(on Debian: apt-get install default-jdk-headless maven)" >&2
    exit 69
fi
if [ "${1:-}" = --check ]; then exit 0; fi
if ! [ -d "$libs" ] || ! [ -d "$classes" ]; then prepare; fi

# shellcheck disable=SC2086 # the options are a list
exec java -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto \
    -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -Dorg.slf4j.simpleLogger.showDateTime=true \
    -Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS -Djava.io.tmpdir="${TMPDIR:-/tmp}" \
    ${KPS_TEST_JAVA_OPTS:-} -cp "$classes:$libs/*" "$@"
