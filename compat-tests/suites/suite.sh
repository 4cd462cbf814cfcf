# The common part of the suites of clients: sourced by each run.sh, which says how the suite is built (`build`), which tests
# there are (`list`), how one is run (`run_one NAME LOG`, successful when it passed; it may print "skipped" as its last line),
# and, where tests have parts of their own, which of them failed (`failed_parts NAME LOG`).
#
# expected.txt beside run.sh has a line for each test that is not simply expected to pass on both brokers:
#   out NAME REASON     it fails on Apache Kafka 4.3.1 or proves nothing about a broker: not run; in Go, NAME may be TEST/PART
#   fail NAME REASON    Onelog is known to fail it, Apache Kafka passes
#   flaky NAME REASON   it fails now and then on Apache Kafka too: a failure is run again, up to twice
# A test that is not named there is expected to pass. With --expect the file is written from what happens: on Kafka the lines
# `out` (three failures of three, where it was never seen to pass) and `flaky` (other failures), on Onelog the lines `fail`. Only
# the reasons are words of people, and stay; a new line has what the test said.
#
# A new broker for each run. Suites that insist on a port, a host name or a node id set `identity`; where the system lets us,
# those run in a network of their own, so that nothing else can hold the port.

broker=onelog
seconds=${seconds:-180}
chosen=()
identity=${identity:-}
learning=
run=

usage() {
    cat <<USAGE
Usage: run.sh [--broker onelog|kafka] [--seconds N] [--run NAME] [--expect] [TEST...]

  --broker NAME   which broker to start: onelog (default; ONELOG_BIN names a built binary) or kafka (Apache Kafka)
  --seconds N     how long one test may take (default $seconds)
  --run NAME      what the run's folder of logs and its file of results are called (default: the broker)
  --expect        write expected.txt from this run, or only its lines of TEST...
  TEST...         names of tests; without any, all that expected.txt does not leave out
USAGE
}

suite_arguments() {
    while [ $# -gt 0 ]; do
        case $1 in
            --broker) broker=${2:?--broker needs a name}; shift 2 ;;
            --seconds) seconds=${2:?--seconds needs a number}; shift 2 ;;
            --run) run=${2:?--run needs a name}; shift 2 ;;
            --expect) learning=1; shift ;;
            -h | --help) usage; exit 0 ;;
            -*) echo "run.sh does not know $1" >&2; usage >&2; exit 2 ;;
            *) chosen+=("$1"); shift ;;
        esac
    done
    case $broker in
        onelog | kafka) ;;
        *) echo "--broker is $broker: it must be onelog or kafka" >&2; exit 2 ;;
    esac
    run=${run:-$broker}
}

expectation() { # WORD and the reason of a test, nothing when it is expected to pass
    awk -v name="$1" -v words="$([ "$broker" = kafka ] && echo '^(out|flaky)$' || echo '^(out|fail|flaky)$')" '$2 == name && $1 ~ words { word = $1; $1 = $2 = ""; sub(/^ +/, ""); print word, $0; exit }' \
        "$expectations"
}

left_out_parts() { # what Go's -test.skip is told, so that the other parts of a test run
    awk -v test="$1" '$1 == "out" && index($2, test "/") == 1 { split($2, part, "/"); printf "%s^%s$/^%s$", more, part[1], part[2]; more = "|" }' \
        "$expectations"
}

failed_parts() { :; }

# For Go: which parts of a test failed; where one of them panicked, that one: it ends all.
failed_go_parts() { # TEST LOG
    sed -n "s|^ *--- FAIL: \($1/[^ /]*\) .*|\1|p" "$2" | if ended_early "$2"; then tail -n 1; else sort -u; fi
}

ended_early() { # LOG
    grep -q '^panic: ' "$1"
}

go_pattern() { # TEST: it whole, or those of its parts that are in `again`
    if [ ${#again[@]} -eq 0 ]; then echo "^$1\$"; return; fi
    printf '%s\n' "${again[@]#"$1"/}" | sed -e 's/[][(){}.*+?|^$\\]/\\&/g' | paste -s -d '|' | sed -e "s/.*/^$1\$\/^(&)\$/"
}

# Runs the suite whose name and folder are in `name` and `here`.
suite() {
    suite_arguments "$@"
    target=$(cd "$here" && cargo metadata --format-version 1 --locked --no-deps | grep -o '"target_directory":"[^"]*"' | cut -d '"' -f 4)
    work=$target/suites/$name
    logs=$work/$run
    results=$work/$run.txt
    expectations=$here/expected.txt
    mkdir -p "$work" "$logs"
    if [ -z "${SUITE_IN_ITS_NETWORK:-}" ]; then
        (cd "$here" && cargo build --quiet --locked --package compat-tests --bin suite-broker)
        if [ -n "$identity" ]; then
            # What the broker fetches or builds at its first start needs the network that the run will not have.
            "$target/debug/suite-broker" "$broker" </dev/null >/dev/null
        fi
        build >"$work/build.log" 2>&1 || { tail -n 20 "$work/build.log" >&2; echo "$name does not build: see $work/build.log" >&2; exit 1; }
        rm -f "$logs"/* "$results"
        if [ -n "$identity" ] && unshare --map-root-user --net ip link set lo up 2>/dev/null; then
            SUITE_IN_ITS_NETWORK=1 exec unshare --map-root-user --net \
                sh -c 'ip link set lo up && exec "$@"' sh bash "$here/run.sh" "$@"
        fi
    fi
    coproc SERVER { exec "$target/debug/suite-broker" "$broker" $identity 2>"$logs/broker.log"; }
    server=$SERVER_PID
    # The broker ends with its input, whatever ends this script.
    if ! read -r -u "${SERVER[0]}" address; then
        cat "$logs/broker.log" >&2
        echo "the broker does not start" >&2
        exit 1
    fi
    if [ ${#chosen[@]} -eq 0 ]; then mapfile -t chosen < <(list); fi
    passed=0 skipped=0 left_out=0 surprises=0
    if [ -n "$learning" ]; then learn; else run_all; fi
    kill -0 "$server" 2>/dev/null || { echo "the broker's keeper ended: see $logs/broker.log" >&2; exit 1; }
    [ "$surprises" -eq 0 ]
}

log_of() { echo "$logs/${1//\//_}.log"; }

# Runs one test, again as long as it fails, TIMES in all: `outcome` (passed, skipped, failed), `tries` and `took` in seconds.
# Where it has parts, only those that failed are run again, in `again`.
attempt() { # TEST TIMES
    local started=$SECONDS log again=()
    log=$(log_of "$1")
    outcome=failed tries=0
    while [ "$outcome" = failed ] && [ "$tries" -lt "$2" ]; do
        tries=$((tries + 1))
        if run_one "$1" "$log" </dev/null; then
            outcome=passed
            if [ "$(tail -n 1 "$log")" = skipped ]; then outcome=skipped; fi
        else
            cp "$log" "$log.failed-$tries"
            if ended_early "$log"; then again=(); else mapfile -t again < <(failed_parts "$1" "$log"); fi
        fi
    done
    took=$((SECONDS - started))
}

# A line of the run's results: TEST's outcome, how often it ran, the seconds, its name, and the parts that it ran without.
note() { # TEST
    printf '%s\t%s\t%s\t%s\t%s\n' "$outcome" "$tries" "$took" "$1" "$(left_out_parts "$1")" >>"$results"
}

say_test() { # TEST REMARK, when there is something to say
    if [ "$outcome" != passed ] || [ "$took" -ge 5 ] || [ -n "$2" ] || [ "$tries" -gt 1 ]; then
        printf '%-72s %-8s %4d s  %s\n' "$1" "$outcome$([ "$tries" -le 1 ] || echo " ($tries runs)")" "$took" "$2"
    fi
}

run_all() {
    local test word reason remark
    for test in "${chosen[@]}"; do
        word= reason=
        read -r word reason < <(expectation "$test") || true
        if [ "$word" = out ]; then
            left_out=$((left_out + 1)) outcome=out tries=0 took=0
        else
            attempt "$test" "$([ "$word" = flaky ] && echo 3 || echo 1)"
            remark=
            case $outcome:$broker:$word in
                passed:onelog:fail) surprises=$((surprises + 1)); remark="it passes: write expected.txt anew (--expect)" ;;
                failed:onelog:fail) remark="known: $reason" ;;
                failed:*) surprises=$((surprises + 1)); remark="see $(log_of "$test")" ;;
            esac
            case $outcome in passed) passed=$((passed + 1)) ;; skipped) skipped=$((skipped + 1)) ;; esac
            say_test "$test" "$remark"
        fi
        note "$test"
    done
    echo "$name: $passed of $((${#chosen[@]} - left_out)) passed on $broker, $skipped skipped by themselves, $left_out left out," \
        "$surprises not as expected"
}

# Writes expected.txt. What was said about the other broker stays, and which tests were seen to be flaky; what is learnt about a
# test holds at once, so that its parts that are left out are not run again.
learn() {
    local former=$here/expected.txt words test
    expectations=$logs/expected.txt
    words=out
    if [ "$broker" = onelog ]; then words=fail; fi
    awk -v words="$words" -v chosen=" ${chosen[*]} " \
        '{ split($2, part, "/") } $1 != words || !index(chosen, " " $2 " ") && !index(chosen, " " part[1] " ")' "$former" >"$expectations"
    for test in "${chosen[@]}"; do
        if [ "$(expectation "$test" | cut -d ' ' -f 1)" = out ]; then outcome=out tries=0 took=0; note "$test"; continue; fi
        attempt "$test" 3
        case $outcome in passed) passed=$((passed + 1)) ;; skipped) skipped=$((skipped + 1)) ;; esac
        say_test "$test" ""
        case $outcome:$tries:$broker in
            failed:*:*) if [ -z "$(expectation "$test")" ]; then learn_failure "$test"; fi ;;
            passed:[23]:kafka) if [ -z "$(expectation "$test")" ]; then learn_line flaky "$test"; fi ;;
        esac
        note "$test"
    done
    # A test that fails on Kafka is not known to fail, nor flaky.
    {
        awk '/^#/' "$expectations"
        awk '/^#/ || NF == 0 { next } $1 == "out" { out[$2] = 1 } { line[NR] = $0; word[NR] = $1; of[NR] = $2 }
            END { for (i = 1; i <= NR; i++) if (word[i] == "out" || !(of[i] in out)) print line[i] }' "$expectations" | LC_ALL=C sort -k1,1 -k2,2
    } >"$former.new"
    mv "$former.new" "$former"
    echo "$name: $passed of ${#chosen[@]} passed on $broker; expected.txt is written"
}

learn_failure() { # TEST; on Kafka one part that fails after the other, or the whole when it fails without them too
    local part parts
    if [ "$broker" = onelog ]; then
        learn_line fail "$1"
        return
    fi
    if passed_before "$1"; then
        learn_line flaky "$1"
        return
    fi
    cp "$expectations" "$expectations.before"
    while [ "$outcome" = failed ]; do
        mapfile -t parts < <(failed_parts "$1" "$(log_of "$1")")
        if [ ${#parts[@]} -eq 0 ]; then break; fi
        for part in "${parts[@]}"; do learn_line out "$part"; done
        # Parts that panic do so one at a time.
        attempt "$1" "$(ended_early "$(log_of "$1")" && echo 1 || echo 3)"
        say_test "$1" "without ${parts[*]}"
    done
    if [ "$outcome" = passed ]; then return; fi
    mv "$expectations.before" "$expectations"
    learn_line out "$1"
    outcome=out
}

passed_before() { # TEST: as a whole, in a run on this broker whose results are still there
    cat "$work/$broker"*.txt 2>/dev/null | awk -F '\t' -v test="$1" '$4 == test && $1 == "passed" && $5 == "" { found = 1 } END { exit !found }'
}

learn_line() { # WORD NAME: with the reason that was known, else with what the test said
    local reason log
    log=$(log_of "$2").failed-1
    if [ ! -e "$log" ]; then log=$(log_of "${2%%/*}").failed-1; fi
    reason=$(awk -v word="$1" -v name="$2" '$1 == word && $2 == name { $1 = $2 = ""; sub(/^ +/, ""); print; exit }' "$here/expected.txt")
    if [ -z "$reason" ]; then
        reason=$(grep -h -i -E 'error|panic|fail|timed out' "$log" | grep -v -E '^ *(---|===) |^FAIL' | head -n 1 |
            sed -e 's/^[[:space:]]*//' | cut -c -160) || true
    fi
    echo "$1 $2 ${reason:-it fails}" >>"$expectations"
}
