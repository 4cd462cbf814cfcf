# The common part of the suites of clients: sourced by each run.sh, which says how the suite is built (`build`), which tests
# there are (`list`), and how one is run (`run_one NAME LOG`, successful when it passed; it may print "skipped" as its last line).
#
# expected.txt beside run.sh has a line for each test that is not simply expected to pass on both brokers:
#   out NAME REASON     it fails on Apache Kafka 4.3.1 or proves nothing about a broker: not run; in Go, NAME may be TEST/PART
#   fail NAME REASON    Onelog is known to fail it, Apache Kafka passes
#   flaky NAME REASON   it fails now and then on Apache Kafka too: a failure is run again, up to twice
# A test that is not named there is expected to pass.
#
# A new broker for each run. Suites that insist on a port, a host name or a node id set `identity`; where the system lets us,
# those run in a network of their own, so that nothing else can hold the port.

broker=onelog
seconds=180
chosen=()
identity=${identity:-}

usage() {
    cat <<USAGE
Usage: run.sh [--broker onelog|kafka] [--seconds N] [TEST...]

  --broker NAME   which broker to start: onelog (default; ONELOG_BIN names a built binary) or kafka (Apache Kafka)
  --seconds N     how long one test may take (default $seconds)
  TEST...         names of tests; without any, all that expected.txt does not leave out
USAGE
}

suite_arguments() {
    while [ $# -gt 0 ]; do
        case $1 in
            --broker) broker=${2:?--broker needs a name}; shift 2 ;;
            --seconds) seconds=${2:?--seconds needs a number}; shift 2 ;;
            -h | --help) usage; exit 0 ;;
            -*) echo "run.sh does not know $1" >&2; usage >&2; exit 2 ;;
            *) chosen+=("$1"); shift ;;
        esac
    done
    case $broker in
        onelog | kafka) ;;
        *) echo "--broker is $broker: it must be onelog or kafka" >&2; exit 2 ;;
    esac
}

expectation() { # WORD and the reason of a test, nothing when it is expected to pass
    awk -v name="$1" '$2 == name && $1 ~ /^(out|fail|flaky)$/ { word = $1; $1 = $2 = ""; sub(/^ +/, ""); print word, $0; exit }' \
        "$here/expected.txt"
}

left_out_parts() { # what Go's -test.skip is told, so that the other parts of a test run
    awk -v test="$1" '$1 == "out" && index($2, test "/") == 1 { split($2, part, "/"); printf "%s^%s$/^%s$", more, part[1], part[2]; more = "|" }' \
        "$here/expected.txt"
}

# Runs the suite whose name and folder are in `name` and `here`.
suite() {
    suite_arguments "$@"
    target=$(cd "$here" && cargo metadata --format-version 1 --locked --no-deps | grep -o '"target_directory":"[^"]*"' | cut -d '"' -f 4)
    work=$target/suites/$name
    logs=$work/logs-$broker
    mkdir -p "$work" "$logs"
    if [ -z "${SUITE_IN_ITS_NETWORK:-}" ]; then
        (cd "$here" && cargo build --quiet --locked --package compat-tests --bin suite-broker)
        if [ -n "$identity" ]; then
            # What the broker fetches or builds at its first start needs the network that the run will not have.
            "$target/debug/suite-broker" "$broker" </dev/null >/dev/null
        fi
        build >"$work/build.log" 2>&1 || { tail -n 20 "$work/build.log" >&2; echo "$name does not build: see $work/build.log" >&2; exit 1; }
        rm -f "$logs"/*
        if [ -n "$identity" ] && unshare --map-root-user --net ip link set lo up 2>/dev/null; then
            SUITE_IN_ITS_NETWORK=1 exec unshare --map-root-user --net \
                sh -c 'ip link set lo up && exec "$@"' sh bash "$here/run.sh" "$@"
        fi
    fi
    coproc SERVER { exec "$target/debug/suite-broker" "$broker" $identity 2>"$logs/broker.log"; }
    server=$SERVER_PID
    if ! read -r -u "${SERVER[0]}" address; then
        cat "$logs/broker.log" >&2
        echo "the broker does not start" >&2
        exit 1
    fi
    if [ ${#chosen[@]} -eq 0 ]; then mapfile -t chosen < <(list); fi
    run_all
    kill -0 "$server" 2>/dev/null || { echo "the broker's keeper ended: see $logs/broker.log" >&2; exit 1; }
    [ "$surprises" -eq 0 ]
}

run_all() {
    local test outcome word reason remark started took tries
    passed=0 skipped=0 left_out=0 surprises=0
    for test in "${chosen[@]}"; do
        read -r word reason < <(expectation "$test") || true
        if [ "$word" = out ]; then left_out=$((left_out + 1)); continue; fi
        started=$SECONDS outcome=failed tries=0
        while [ "$outcome" = failed ] && [ "$tries" -lt "$([ "$word" = flaky ] && echo 3 || echo 1)" ]; do
            tries=$((tries + 1))
            if run_one "$test" "$logs/${test//\//_}.log" </dev/null; then
                outcome=passed
                if [ "$(tail -n 1 "$logs/${test//\//_}.log")" = skipped ]; then outcome=skipped; fi
            fi
        done
        took=$((SECONDS - started)) remark=
        case $outcome:$broker:$word in
            passed:onelog:fail) surprises=$((surprises + 1)); remark="it passes: take its line out of expected.txt" ;;
            failed:onelog:fail) remark="known: $reason" ;;
            failed:*) surprises=$((surprises + 1)); remark="see $logs/${test//\//_}.log" ;;
        esac
        case $outcome in passed) passed=$((passed + 1)) ;; skipped) skipped=$((skipped + 1)) ;; esac
        if [ "$outcome" != passed ] || [ "$took" -ge 5 ] || [ -n "$remark" ] || [ "$tries" -gt 1 ]; then
            printf '%-72s %-8s %4d s  %s\n' "$test" "$outcome$([ "$tries" -gt 1 ] && echo " ($tries runs)")" "$took" "$remark"
        fi
    done
    echo "$name: $passed of $((${#chosen[@]} - left_out)) passed on $broker, $skipped skipped by themselves, $left_out left out," \
        "$surprises not as expected"
}
