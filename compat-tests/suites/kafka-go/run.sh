#!/usr/bin/env bash
# The tests of kafka-go 0.4.49, one process each, against a broker on port 9092 that is started for them. The client writes old
# versions of the protocol by hand, one test for each API.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
name=kafka-go
identity="--port 9092 --host localhost --node-id 1"
source "$here/../suite.sh"

command -v go >/dev/null || { echo "go is missing: the suite is written in it" >&2; exit 1; }

build() {
    mkdir -p "$work/module"
    cp "$here/go.mod" "$here/go.sum" "$work/module/"
    cd "$work/module"
    go test -mod=mod -c -o "$work/kafka.test" github.com/segmentio/kafka-go || return 1
    ln -sfn "$(go list -mod=mod -m -f '{{.Dir}}' github.com/segmentio/kafka-go)" "$work/source"
    cd - >/dev/null
}

list() {
    KAFKA_VERSION=3.7.0 "$work/kafka.test" -test.list . | grep '^Test'
}

run_one() {
    export KAFKA_SKIP_NETTEST=1 KAFKA_VERSION=3.7.0
    (cd "$work/source" && timeout --kill-after=5 $((seconds + 10)) "$work/kafka.test" -test.run "$(go_pattern "$1")" -test.skip "$(left_out_parts "$1")" -test.v -test.timeout "${seconds}s") >"$2" 2>&1 || return 1
    if grep -q "^--- SKIP: $1 " "$2"; then echo skipped >>"$2"; fi
}

failed_parts() {
    failed_go_parts "$@"
}

suite "$@"
