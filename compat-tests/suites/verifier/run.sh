#!/usr/bin/env bash
# Our own reading tests in the manner of kgo-verifier, which no registry offers: franz-go's client writes records that say which they are
# and reads them in order, at random places, as groups, in transactions and while they are compacted. `VERIFIER_RECORDS` (default
# 200000) says how many a topic gets.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
name=verifier
source "$here/../suite.sh"

command -v go >/dev/null || { echo "go is missing: the suite is written in it" >&2; exit 1; }

build() {
    (cd "$here" && go vet ./... && go test -c -o "$work/verifier.test" .)
}

list() {
    "$work/verifier.test" -test.list . | grep '^Test'
}

run_one() {
    export VERIFIER_BROKERS=$address VERIFIER_RECORDS=${VERIFIER_RECORDS:-200000}
    timeout --kill-after=5 $((seconds + 10)) "$work/verifier.test" -test.run "^$1\$" -test.v -test.timeout "${seconds}s" >"$2" 2>&1
}

suite "$@"
