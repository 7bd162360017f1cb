#!/bin/sh
# All tests: units, the command line, every behaviour and every fault against the embedded broker, where Java is installed
# also against a real Kafka, and through kcat and Python's clients where those are (tests that cannot run are listed as
# ignored, with the reason; with CI=true they are failures). Arguments go to `cargo test`.
set -eu
cd "$(dirname "$0")/.."

# Without OpenSSL's headers it is built from source, which takes a few minutes once.
pkg-config --exists openssl 2>/dev/null || set -- --features vendored "$@"

exec cargo test --locked "$@"
