#!/bin/sh
# Builds kps and runs examples/tour.sh on its embedded broker: a publish, a consumer group and a short pipeline.
# Needs the Rust toolchain and a C compiler. librdkafka needs more; where that is missing, kps is built without it.
# Arguments, if any, go to `cargo build` instead of the features chosen here.
set -eu
cd "$(dirname "$0")/.."

has() { command -v "$1" >/dev/null 2>&1; }

if [ $# -eq 0 ]; then
    if has c++ && has make && has bash; then
        if pkg-config --exists openssl 2>/dev/null; then
            set --
        elif has perl; then
            echo 'no OpenSSL headers: OpenSSL is built from source, which takes some minutes once'
            set -- --features vendored
        else
            without='OpenSSL headers (libssl-dev and pkg-config) or perl'
        fi
    else
        without='c++, make and bash'
    fi
    if [ "${without-}" ]; then
        echo "librdkafka is left out, it needs $without: kps is built with its own client and rskafka"
        set -- --no-default-features --features native,rskafka,broker
    fi
fi

echo "\$ cargo build --release --locked $*"
cargo build --release --locked "$@"

echo '$ kps broker -- examples/tour.sh'
exec "${CARGO_TARGET_DIR:-target}/release/kps" broker -- examples/tour.sh
