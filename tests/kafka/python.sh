#!/bin/sh
# Runs tests/kafka/clients.py with the Python clients it needs, in an environment of its own below the target folder.
#
#     tests/kafka/python.sh confluent serve bootstrap.servers=127.0.0.1:9092      answers requests, a line of JSON each
#     tests/kafka/python.sh --check                exit 0 when everything needed is installed, else says what is not
#
# The packages come through pip once, into target/python; several of these may start at once.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=${CARGO_TARGET_DIR:-$here/../../target}/python
ready=$cache/env-$(cksum <"$here/requirements.txt" | cut -d ' ' -f 1)

# An environment holds its own path, so that it is made where it stays; the file `complete` says that it is whole. The
# lock keeps two pips from writing to one folder.
prepare() {
    mkdir -p "$cache"
    exec 9>"$cache/lock"
    if command -v flock >/dev/null; then flock 9; fi
    if ! [ -e "$ready/complete" ]; then
        rm -rf "$ready"
        python3 -m venv "$ready" >&2
        "$ready/bin/pip" install -q --disable-pip-version-check -r "$here/requirements.txt" >&2
        touch "$ready/complete"
    fi
    exec 9>&-
}

if ! [ -e "$ready/complete" ] && ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    echo 'not installed: python3 with venv' >&2
    echo '(on Debian: apt-get install python3-venv)' >&2
    exit 69
fi
if [ "${1:-}" = --check ]; then exit 0; fi
if ! [ -e "$ready/complete" ]; then prepare; fi

exec "$ready/bin/python" "$here/clients.py" "$@"
