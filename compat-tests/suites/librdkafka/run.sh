#!/usr/bin/env bash
# librdkafka's own tests, one process each, against a broker that is started for them.
# Prints a table, compares it with expected.txt, and exits 1 when anything differs.
#
# A new broker for each run, on a free port. The C source is the one that the crate `rdkafka-sys` carries, built once into
# target/suites/librdkafka without optional libraries. Each test runs sequentially in a process of its own (-p1 -L): the
# runner kills itself when a test times out. A test that passed in no time did not run, nor did one that the runner
# skipped: neither counts as passed.
set -euo pipefail

usage() {
    cat <<'USAGE'
Usage: run.sh [--broker onelog|kafka] [--seconds N] [TEST...]

  --broker NAME   which broker to start: onelog (default; ONELOG_BIN names a built binary) or kafka (Apache Kafka)
  --seconds N     how long one test may take (default 120)
  TEST...         numbers such as 0012; without any, all of expected.txt
USAGE
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
broker=onelog
seconds=120
tests=()
while [ $# -gt 0 ]; do
    case $1 in
        --broker) broker=${2:?--broker needs a name}; shift 2 ;;
        --seconds) seconds=${2:?--seconds needs a number}; shift 2 ;;
        -h | --help) usage; exit 0 ;;
        [0-9][0-9][0-9][0-9]) tests+=("$1"); shift ;;
        *) echo "run.sh does not know $1" >&2; usage >&2; exit 2 ;;
    esac
done
case $broker in
    onelog | kafka) ;;
    *) echo "--broker is $broker: it must be onelog or kafka" >&2; exit 2 ;;
esac
for tool in cargo cc c++ make; do
    command -v "$tool" >/dev/null || { echo "$tool is missing: the suite is built with it" >&2; exit 1; }
done

expectations() { # without comments and empty lines
    sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$here/expected.txt"
}
if [ ${#tests[@]} -eq 0 ]; then
    mapfile -t tests < <(expectations | awk '{ print $1 }')
fi

metadata=$(cd "$here" && cargo metadata --format-version 1 --locked)
field() { # the first value of a JSON string field whose value matches a pattern
    grep -o "\"$1\":\"$2\"" <<<"$metadata" | head -n 1 | cut -d '"' -f 4
}
source=$(dirname "$(field manifest_path '[^"]*/rdkafka-sys-[^"]*')")/librdkafka
target=$(field target_directory '[^"]*')
[ -f "$source/tests/test.c" ] || { echo "no C source with tests at $source" >&2; exit 1; }

build() {
    local name folder
    name=$(basename "$(dirname "$source")")
    folder=$target/suites/librdkafka/$name
    if [ ! -e "$folder/.complete" ]; then
        rm -rf "$folder"
        mkdir -p "$folder"
        cp -R "$source/." "$folder"
        chmod -R u+w "$folder"
        echo "building $name and its tests, once" >&2
        (
            cd "$folder"
            ./configure --disable-ssl --disable-gssapi --disable-curl --disable-zstd --disable-lz4-ext --disable-syslog
            make -j1 libs
            make -j1 -C tests test-runner
        ) >"$folder.log" 2>&1 || {
            tail -n 20 "$folder.log" >&2
            echo "librdkafka does not build: see $folder.log" >&2
            exit 1
        }
        touch "$folder/.complete"
    fi
    echo "$folder"
}
runner=$(build)

(cd "$here" && cargo build --quiet --locked --package compat-tests --bin suite-broker)
logs=$target/suites/librdkafka/logs-$broker
mkdir -p "$logs"
rm -f "$logs"/*
coproc SERVER { exec "$target/debug/suite-broker" "$broker" 2>"$logs/broker.log"; }
server=$SERVER_PID
# The broker ends with its input, whatever ends this script.
if ! read -r -u "${SERVER[0]}" address; then
    cat "$logs/broker.log" >&2
    exit 1
fi

conf=$logs/test.conf
printf 'bootstrap.servers=%s\ntest.topic.random=true\n' "$address" >"$conf"

# Prints "passed|failed SECONDS" for one test.
run_one() {
    local log=$logs/$1.log outcome=failed took
    (
        cd "$runner/tests"
        export TESTS=$1 TEST_KAFKA_VERSION=4.1.0 RDKAFKA_TEST_CONF=$conf
        export LD_LIBRARY_PATH=../src:../src-cpp${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
        timeout --kill-after=5 "$seconds" ./test-runner -p1 -L
    ) >"$log" 2>&1 </dev/null || true
    # The summary has a row for each test of that number; what the runner skipped is passed over.
    read -r outcome took < <(sed -e 's/\x1b\[[0-9;]*m//g' "$log" | awk -F '|' -v test="$1_" '
        index($2, test) {
            gsub(/ /, "", $3); gsub(/[ s]/, "", $4)
            if (outcome != "FAILED" && (outcome == "" || $3 != "SKIPPED")) { outcome = $3; seconds = $4 }
        }
        END { print outcome, seconds }') || true
    case ${outcome:-} in
        PASSED) if [ "$took" = 0.000 ]; then outcome="not run"; else outcome=passed; fi ;;
        SKIPPED) outcome="not run" ;;
        *) outcome=failed ;;
    esac
    echo "${took:--} $outcome"
}

printf '%-6s %-8s %9s  %s\n' test outcome seconds remark
passed=0
surprises=0
total=${#tests[@]}
for test in "${tests[@]}"; do
    read -r took outcome < <(run_one "$test")
    remark=
    wanted=$(expectations | awk -v test="$test" '$1 == test { $1 = ""; sub(/^ /, ""); print; exit }')
    expected=passed
    case $broker:$wanted in
        onelog:fail*) expected=failed remark=${wanted#fail } ;;
        *:optional*) if [ "$outcome" = "not run" ]; then expected="not run" remark=${wanted#optional }; fi ;;
    esac
    if [ "$outcome" = passed ]; then passed=$((passed + 1)); fi
    if [ "$outcome" != "$expected" ]; then
        surprises=$((surprises + 1))
        remark="expected $expected; see $logs/$test.log${remark:+ ($remark)}"
    fi
    printf '%-6s %-8s %9s  %s\n' "$test" "$outcome" "$took" "$remark"
done
echo "$passed of $total passed on $broker, $surprises not as expected; what the broker said is in $target/compat/logs"
kill -0 "$server" 2>/dev/null || { echo "the broker's keeper ended: see $logs/broker.log" >&2; exit 1; }
[ "$surprises" -eq 0 ]
