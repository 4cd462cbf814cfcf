#!/usr/bin/env bash
# The tests of the crate rdkafka, one process each, against a broker with node id 0, port 9092 and topics of three partitions
# that is started for them. The source is the one that cargo fetched for this workspace, built once with the crate's own lock
# file.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
name=rust-rdkafka
identity="--port 9092 --config num.partitions=3"
source "$here/../suite.sh"

for tool in cargo cc c++ make; do
    command -v "$tool" >/dev/null || { echo "$tool is missing: the suite is built with it" >&2; exit 1; }
done

build() {
    local source
    source=$(cd "$here" && cargo metadata --format-version 1 --locked | grep -o '"manifest_path":"[^"]*/rdkafka-0[^"]*"' | head -n 1 | cut -d '"' -f 4)
    if [ "$(cat "$work/built" 2>/dev/null)" = "$source" ]; then return; fi
    rm -rf "$work/crate"
    cp -R "$(dirname "$source")" "$work/crate"
    chmod -R u+w "$work/crate"
    # A crate below another workspace says that it is none of its members.
    printf '\n[workspace]\n' >>"$work/crate/Cargo.toml"
    (cd "$work/crate" && CARGO_TARGET_DIR=$work/target CARGO_PROFILE_TEST_DEBUG=0 CARGO_PROFILE_DEV_DEBUG=0 cargo test --tests --no-run --message-format=short) 2>&1 |
        tee "$work/tests.txt"
    grep -o "[^ (]*/deps/test_[^ )]*" "$work/tests.txt" | sed "s|^[^/].*|$work/crate/&|" >"$work/binaries"
    test -s "$work/binaries"
    echo "$source" >"$work/built"
}

list() {
    local binary
    while read -r binary; do
        "$binary" --list 2>/dev/null | sed -n "s|^\(.*\): test\$|$(basename "$binary" | sed 's/-[^-]*$//')/\1|p"
    done <"$work/binaries"
}

run_one() {
    local binary
    binary=$(grep "/${1%%/*}-" "$work/binaries")
    (cd "$work/crate" && KAFKA_HOST=localhost:9092 KAFKA_VERSION=4.0 timeout --kill-after=5 "$seconds" "$binary" --exact "${1#*/}" --test-threads 1) >"$2" 2>&1 || return 1
    if grep -q '1 ignored' "$2"; then echo skipped >>"$2"; fi
}

suite "$@"
