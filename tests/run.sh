#!/bin/sh
# All tests: units, the command line, and every behaviour against a real Kafka where Java is installed (tests that cannot
# run are listed as ignored, with the reason; with CI=true they are failures). Arguments go to `cargo test`.
set -eu
cd "$(dirname "$0")/.."

# Without OpenSSL's headers it is built from source, which takes a few minutes once.
pkg-config --exists openssl 2>/dev/null || set -- --features vendored "$@"

exec cargo test --locked "$@"
