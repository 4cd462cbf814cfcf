#!/usr/bin/env bash
# The tests of franz-go's client, pkg/kgo, one process each, against a broker that is started for them. `KGO_TEST_RECORDS`
# (default 20000) says how many records the big ones move; with `KGO_TEST_CHAOS=1` the client cuts its own connections.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
name=franz-go
seconds=240
source "$here/../suite.sh"

command -v go >/dev/null || { echo "go is missing: the suite is written in it" >&2; exit 1; }

build() {
    mkdir -p "$work/module"
    cp "$here/go.mod" "$here/go.sum" "$work/module/"
    cd "$work/module"
    go test -mod=mod -c -o "$work/kgo.test" github.com/twmb/franz-go/pkg/kgo || return 1
    rm -rf "$work/testdata"
    # Some tests read files beside them.
    ln -sfn "$(go list -mod=mod -m -f '{{.Dir}}' github.com/twmb/franz-go)/pkg/kgo" "$work/source"
    cd - >/dev/null
}

list() {
    "$work/kgo.test" -test.list . | grep '^Test'
}

run_one() {
    export KGO_SEEDS=$address KGO_TEST_RF=1 KGO_TEST_RECORDS=${KGO_TEST_RECORDS:-20000}
    (cd "$work/source" && timeout --kill-after=5 $((seconds + 10)) "$work/kgo.test" -test.run "$(go_pattern "$1")" -test.skip "$(left_out_parts "$1")" -test.v -test.timeout "${seconds}s") >"$2" 2>&1 || return 1
    if grep -q "^--- SKIP: $1 " "$2"; then echo skipped >>"$2"; fi
}

failed_parts() {
    failed_go_parts "$@"
}

suite "$@"
