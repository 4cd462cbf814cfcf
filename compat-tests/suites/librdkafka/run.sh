#!/usr/bin/env bash
# librdkafka's own tests, one process each, against a broker that is started for them: those of its smoke run.
#
# The C source is the one that the crate `rdkafka-sys` carries, built once without optional libraries. Each test runs
# sequentially (-p1 -L): the runner kills itself when a test times out. A test that passed in no time did not run, nor did one
# that the runner skipped: neither counts as passed. 0053 skips itself without the headers of RapidJSON (Debian:
# rapidjson-dev) when the suite is built.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
name=librdkafka
seconds=120
source "$here/../suite.sh"

for tool in cargo cc c++ make; do
    command -v "$tool" >/dev/null || { echo "$tool is missing: the suite is built with it" >&2; exit 1; }
done

build() {
    local manifest
    manifest=$(cd "$here" && cargo metadata --format-version 1 --locked | grep -o '"manifest_path":"[^"]*/rdkafka-sys-[^"]*"' | head -n 1 | cut -d '"' -f 4)
    if [ "$(cat "$work/built" 2>/dev/null)" = "$manifest" ]; then return; fi
    rm -rf "$work/source"
    cp -R "$(dirname "$manifest")/librdkafka" "$work/source"
    chmod -R u+w "$work/source"
    (
        cd "$work/source" &&
            ./configure --disable-ssl --disable-gssapi --disable-curl --disable-zstd --disable-lz4-ext --disable-syslog &&
            make -j1 libs &&
            make -j1 -C tests test-runner
    ) || return 1
    echo "$manifest" >"$work/built"
}

list() {
    printf '%s\n' 0001 0002 0003 0005 0007 0008 0012 0013 0016 0021 0022 0035 0036 0039 0041 0042 0048 0053 0056 0063 0064 \
        0065 0068 0070 0073 0085
}

run_one() {
    local outcome took
    printf 'bootstrap.servers=%s\ntest.topic.random=true\n' "$address" >"$logs/test.conf"
    (
        cd "$work/source/tests"
        export TESTS=$1 TEST_KAFKA_VERSION=4.1.0 RDKAFKA_TEST_CONF=$logs/test.conf
        export LD_LIBRARY_PATH=../src:../src-cpp${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
        timeout --kill-after=5 "$seconds" ./test-runner -p1 -L
    ) >"$2" 2>&1 || true
    # The summary has a row for each test of that number; what the runner skipped is passed over.
    read -r outcome took < <(sed -e 's/\x1b\[[0-9;]*m//g' "$2" | awk -F '|' -v test="$1_" '
        index($2, test) {
            gsub(/ /, "", $3); gsub(/[ s]/, "", $4)
            if (outcome != "FAILED" && (outcome == "" || $3 != "SKIPPED")) { outcome = $3; seconds = $4 }
        }
        END { print outcome, seconds }') || true
    case ${outcome:-}:${took:-} in
        PASSED:0.000 | SKIPPED:*) echo skipped >>"$2" ;;
        PASSED:*) ;;
        *) return 1 ;;
    esac
}

suite "$@"
