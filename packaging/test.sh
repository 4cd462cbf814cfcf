#!/usr/bin/env bash
# Runs the start sequences of container test libraries against the compat layout, in a chroot instead of a container: the same
# scripts, the same environment, the same ready signal. Needs root.
#   packaging/test.sh BINARY [STARTS]     STARTS of each sequence, 5 unless given
set -euo pipefail
if [ "$(id -u)" != 0 ]; then
    echo "chroot needs root: run this as root" >&2
    exit 1
fi
# Namespaces of its own, as a container has: the modules' ports are free and stay so, and nobody else ever sees what is mounted in
# the chroot, so that removing a directory that a killed run left behind cannot reach the machine's /dev.
if [ -z "${IN_OWN_NAMESPACES:-}" ]; then
    exec env IN_OWN_NAMESPACES=yes unshare --net --mount bash "$0" "$@"
fi
python3 - <<'PYTHON'
import fcntl, socket, struct
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
fcntl.ioctl(socket.socket(), SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))
PYTHON
binary=$(realpath "${1:?give the path of the onelog binary}")
cd "$(dirname "$0")"
chroot=$(command -v chroot)
starts=${2:-5}
root=$(mktemp -d)
# Where the libraries put their scripts, in the container.
scratch=/tmp
# Leader of the process group of the start under way: what it started ends with it.
group=
finish() {
    [ -z "$group" ] || { kill -9 -- "-$group" && wait "$group"; } 2>/dev/null || true
    umount "$root/proc" "$root/dev" 2>/dev/null || true
    rm -rf --one-file-system "$root"
}
trap finish EXIT

# A small system: what a slim base image has of it.
mkdir -p "$root"/{bin,usr/bin,usr/sbin,lib,lib64,proc,dev,tmp,etc}
libraries() { # of a program; none for a static one
    { ldd "$1" 2>/dev/null | grep -oE '/[^ ]+' || true; } | while read -r library; do
        [ -e "$root$library" ] || install -D "$library" "$root$library"
    done
}
copy() { # a program with its libraries
    local program
    program=$(command -v "$1")
    install -D "$program" "$root/usr/bin/$1"
    libraries "$program"
}
for program in bash sh env cat sed grep sleep chmod mkdir ls rm id nohup tail; do copy "$program"; done
ln -sf /usr/bin/bash "$root/bin/bash"
ln -sf /usr/bin/sh "$root/bin/sh"
cp -a compat/. "$root/"
install "$binary" "$root/usr/bin/onelog"
libraries "$binary"
sh links.sh "$root"
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"

client_port=9092
broker_port=9093

# What the modules set.
common() {
    cat <<ENVIRONMENT
CLUSTER_ID=5L6g3nShT-eMCtK--X86sw
KAFKA_NODE_ID=1
KAFKA_BROKER_ID=1
KAFKA_PROCESS_ROLES=broker,controller
KAFKA_CONTROLLER_LISTENER_NAMES=CONTROLLER
KAFKA_CONTROLLER_QUORUM_VOTERS=1@localhost:9094
KAFKA_LISTENER_SECURITY_PROTOCOL_MAP=BROKER:PLAINTEXT,PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
KAFKA_INTER_BROKER_LISTENER_NAME=BROKER
KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR=1
KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS=1
KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR=1
KAFKA_TRANSACTION_STATE_LOG_MIN_ISR=1
KAFKA_LOG_FLUSH_INTERVAL_MESSAGES=9223372036854775807
KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS=0
KAFKA_CONFLUENT_SUPPORT_METRICS_ENABLE=false
KAFKA_REST_BOOTSTRAP_SERVERS=PLAINTEXT://0.0.0.0:9092
ENVIRONMENT
}
# Writes a file into the running "container", as the modules' copy calls do.
write() { # path, mode
    cat >"$root$1.new"
    chmod "$2" "$root$1.new"
    mv "$root$1.new" "$root$1"
}

# Ends the run with what the start under way has printed.
failed() { # name, why
    echo "FAILED $1: $2" >&2
    cat "$root$scratch/output" >&2
    exit 1
}

# start NAME READY COMMAND...: starts COMMAND in the chroot with $variables alone, calls put_script, waits for READY in its output
# and for somebody on $client_port, ends it as an engine ends a container. Sets $took, milliseconds until it was ready.
start() {
    local name=$1 ready=$2 begun code
    shift 2
    : >"$root$scratch/output"
    begun=$(date +%s%N)
    # A session of its own: the pid is the group's. The sequence is the child itself, so its exit code is the broker's.
    setsid env -i PATH=/usr/bin:/bin "${variables[@]}" "$chroot" "$root" "$@" >"$root$scratch/output" 2>&1 &
    group=$!
    put_script
    for _ in $(seq 1 4000); do
        grep -qE "$ready" "$root$scratch/output" && break
        kill -0 "$group" 2>/dev/null || break
        sleep 0.005
    done
    took=$((($(date +%s%N) - begun) / 1000000))
    grep -qE "$ready" "$root$scratch/output" || failed "$name" "no line matches $ready"
    (exec 3<>"/dev/tcp/127.0.0.1/$client_port") || failed "$name" "nobody listens on $client_port"
    kill -TERM "$group" && wait "$group" && code=0 || code=$?
    [ "$code" = 0 ] || failed "$name" "ended with code $code"
    ! kill -0 -- "-$group" 2>/dev/null || failed "$name" "left a process behind"
    group=
    rm -rf "$root$scratch"/* "$root"/var/lib/kafka/data/* "$root"/bitnami/kafka/data/*
}

# module NAME READY BIND ADVERTISE SHELL SCRIPT: the sequence of a container test library. The container waits for SCRIPT, which is
# copied into it with the address that clients get, and runs it with SHELL. BIND is the host in KAFKA_LISTENERS. The lines of
# SCRIPT come on stdin.
module() {
    local name=$1 ready=$2 bind=$3 advertise=$4 shell=$5 script=$6 lines
    lines=$(cat)
    mapfile -t variables < <(common)
    variables+=("KAFKA_LISTENERS=PLAINTEXT://$bind:$client_port,BROKER://$bind:$broker_port,CONTROLLER://$bind:9094")
    put_script() {
        write "$script" 0777 <<SCRIPT
#!/bin/bash
export KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://$advertise:$client_port,BROKER://localhost:$broker_port
$lines
SCRIPT
    }
    start "$name" "$ready" sh -c "while [ ! -f $script ]; do sleep 0.1; done; exec $shell $script"
    rm -f "$root$script"
}

running='Transitioning from RECOVERY to RUNNING'
started='Kafka Server started'

java() {
    module Java "$running" 0.0.0.0 localhost "" $scratch/testcontainers_start.sh <<<'exec /etc/kafka/docker/run'
}

go() { # edits a script of the image, which every container has anew
    local configure=$root/etc/confluent/docker/configure
    cp "$configure" "$configure.kept"
    module Go "$running" 0.0.0.0 localhost bash /usr/sbin/testcontainers_start.sh <<'SCRIPT'
source /etc/confluent/docker/bash-config
sed -i '/KAFKA_ZOOKEEPER_CONNECT/d' /etc/confluent/docker/configure
echo 'kafka-storage format --ignore-formatted -t "$(kafka-storage random-uuid)" -c /etc/kafka/kafka.properties' >> /etc/confluent/docker/configure
echo '' > /etc/confluent/docker/ensure
/etc/confluent/docker/configure
exec /etc/confluent/docker/launch
SCRIPT
    mv "$configure.kept" "$configure"
}

rust() {
    module Rust "$started" 0.0.0.0 127.0.0.1 "" /opt/kafka/testcontainers_start.sh <<<'exec /etc/kafka/docker/run'
}

python() {
    module Python "$started" 0.0.0.0 localhost sh /tc-start.sh <<'SCRIPT'
. /etc/confluent/docker/bash-config
/etc/confluent/docker/configure
exec /etc/confluent/docker/launch
SCRIPT
}

dotnet() {
    module .NET "$running" "" 127.0.0.1 "" /testcontainers.sh <<<'exec /etc/kafka/docker/run'
}

node() {
    module Node "$started" 0.0.0.0 localhost "" $scratch/testcontainers_start.sh <<<'exec /etc/confluent/docker/run'
}

bitnami() {
    variables=("KAFKA_CFG_NODE_ID=0" "KAFKA_CFG_PROCESS_ROLES=controller,broker" \
        "KAFKA_CFG_LISTENERS=PLAINTEXT://:$client_port,CONTROLLER://:9093" \
        "KAFKA_CFG_LISTENER_SECURITY_PROTOCOL_MAP=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT" \
        "KAFKA_CFG_CONTROLLER_QUORUM_VOTERS=0@localhost:9093" "KAFKA_CFG_CONTROLLER_LISTENER_NAMES=CONTROLLER")
    put_script() { :; }
    start Bitnami 'started \(kafka.server.KafkaServer\)' \
        /opt/bitnami/scripts/kafka/entrypoint.sh /opt/bitnami/scripts/kafka/run.sh
}

for name in java go rust python dotnet node bitnami; do
    least=1000000 most=0
    for _ in $(seq 1 "$starts"); do
        "$name"
        [ "$took" -ge "$least" ] || least=$took
        [ "$took" -le "$most" ] || most=$took
    done
    echo "$name: $starts starts, 0 failed, ready in $least to $most ms"
done
