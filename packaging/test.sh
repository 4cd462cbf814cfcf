#!/usr/bin/env bash
# Runs the start sequences of container test libraries against the compat layout, in a chroot instead of a container: the same
# scripts, the same environment, the same ready signal. Needs root.
#   packaging/test.sh BINARY [STARTS]     STARTS of each sequence, 5 unless given
set -euo pipefail
if [ "$(id -u)" != 0 ]; then
    echo "chroot needs root: run this as root" >&2
    exit 1
fi
binary=$(realpath "${1:?give the path of the onelog binary}")
cd "$(dirname "$0")"
chroot=$(command -v chroot)
starts=${2:-5}
root=$(mktemp -d)
# Where the libraries put their scripts, in the container.
scratch=/tmp
pid=
finish() {
    [ -n "$pid" ] && kill -9 "$pid" 2>/dev/null
    umount "$root/proc" "$root/dev" 2>/dev/null
    rm -rf --one-file-system "$root"
}
trap finish EXIT

# A small system: what a slim base image has of it.
mkdir -p "$root"/{bin,usr/bin,usr/sbin,lib,lib64,proc,dev,tmp,etc}
copy() { # a program with its libraries
    local program
    program=$(command -v "$1")
    install -D "$program" "$root/usr/bin/$1"
    ldd "$program" 2>/dev/null | grep -oE '/[^ ]+' | while read -r library; do
        [ -e "$root$library" ] || install -D "$library" "$root$library"
    done
}
for program in bash sh env cat sed grep sleep chmod mkdir ls rm id nohup tail; do copy "$program"; done
ln -sf /usr/bin/bash "$root/bin/bash"
ln -sf /usr/bin/sh "$root/bin/sh"
cp -a compat/. "$root/"
install "$binary" "$root/usr/bin/onelog"
ldd "$binary" 2>/dev/null | grep -oE '/[^ ]+' | while read -r library; do
    [ -e "$root$library" ] || install -D "$library" "$root$library"
done
sh links.sh "$root"
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"

port() { # one that is free now
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# What the modules set; PORT is where clients connect.
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
listeners() { # name of the client listener, port, port between brokers
    echo "KAFKA_LISTENERS=$1://0.0.0.0:$2,BROKER://0.0.0.0:$3,CONTROLLER://0.0.0.0:9094"
}

# Writes a file into the running "container", as the modules' copy calls do.
write() { # path, mode
    cat >"$root$1.new"
    chmod "$2" "$root$1.new"
    mv "$root$1.new" "$root$1"
}

# sequence NAME READY COMMAND...: starts COMMAND in the chroot with the environment of $variables, calls after_start, waits
# for READY in its output, then for a connection.
sequence() {
    local name=$1 ready=$2 begun now
    shift 2
    begun=$(date +%s%N)
    # The sequence itself is the child: its pid is ours to end.
    env -i PATH=/usr/bin:/bin "${variables[@]}" "$chroot" "$root" "$@" >"$root$scratch/output" 2>&1 &
    pid=$!
    after_start
    for _ in $(seq 1 2000); do
        grep -qE "$ready" "$root$scratch/output" && break
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.005
    done
    now=$(date +%s%N)
    if ! grep -qE "$ready" "$root$scratch/output"; then
        echo "FAILED $name: no line matches $ready" >&2
        cat "$root$scratch/output" >&2
        exit 1
    fi
    (exec 3<>"/dev/tcp/127.0.0.1/$client_port") || { echo "FAILED $name: nobody listens on $client_port" >&2; exit 1; }
    kill -TERM "$pid" && wait "$pid" && code=0 || code=$?
    pid=
    if [ "$code" != 0 ]; then
        echo "FAILED $name: ended with code $code" >&2
        cat "$root$scratch/output" >&2
        exit 1
    fi
    rm -rf "$root$scratch"/* "$root"/var/lib/kafka/data/* "$root"/bitnami/kafka/data/*
    took=$(((now - begun) / 1000000))
}

prepare() {
    client_port=$(port)
    broker_port=$(port)
    mapfile -t variables < <(common)
    after_start() { :; }
}

java() {
    prepare
    variables+=("$(listeners PLAINTEXT "$client_port" "$broker_port")")
    after_start() {
        write $scratch/testcontainers_start.sh 0777 <<SCRIPT
#!/bin/bash
export KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://localhost:$client_port,BROKER://localhost:$broker_port
exec /etc/kafka/docker/run
SCRIPT
    }
    sequence "Java" '.*Transitioning from RECOVERY to RUNNING.*' \
        sh -c "while [ ! -f $scratch/testcontainers_start.sh ]; do sleep 0.1; done; exec $scratch/testcontainers_start.sh"
}

go() {
    prepare
    variables+=("$(listeners PLAINTEXT "$client_port" "$broker_port")")
    cp "$root/etc/confluent/docker/configure" "$root/etc/configure.kept"
    after_start() {
        write /usr/sbin/testcontainers_start.sh 0755 <<SCRIPT
#!/bin/bash
source /etc/confluent/docker/bash-config
export KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://localhost:$client_port,BROKER://localhost:$broker_port
sed -i '/KAFKA_ZOOKEEPER_CONNECT/d' /etc/confluent/docker/configure
echo 'kafka-storage format --ignore-formatted -t "\$(kafka-storage random-uuid)" -c /etc/kafka/kafka.properties' >> /etc/confluent/docker/configure
/etc/confluent/docker/configure
exec /etc/confluent/docker/launch
SCRIPT
    }
    sequence "Go" '.*Transitioning from RECOVERY to RUNNING.*' \
        sh -c 'while [ ! -f /usr/sbin/testcontainers_start.sh ]; do sleep 0.1; done; exec bash /usr/sbin/testcontainers_start.sh'
    mv "$root/etc/configure.kept" "$root/etc/confluent/docker/configure"
    rm "$root/usr/sbin/testcontainers_start.sh"
}

rust() {
    prepare
    variables+=("$(listeners PLAINTEXT "$client_port" "$broker_port")")
    after_start() {
        write /opt/kafka/testcontainers_start.sh 0755 <<SCRIPT
#!/usr/bin/env bash
export KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://127.0.0.1:$client_port,BROKER://localhost:$broker_port
exec /etc/kafka/docker/run
SCRIPT
    }
    sequence "Rust" 'Kafka Server started' \
        bash -c 'while [ ! -f /opt/kafka/testcontainers_start.sh ]; do sleep 0.1; done; exec /opt/kafka/testcontainers_start.sh'
    rm "$root/opt/kafka/testcontainers_start.sh"
}

python() {
    prepare
    variables+=("$(listeners PLAINTEXT "$client_port" "$broker_port")")
    after_start() {
        write $scratch/tc-start.sh 0755 <<SCRIPT
#!/bin/bash
export KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://localhost:$client_port,BROKER://localhost:$broker_port
. /etc/confluent/docker/bash-config
/etc/confluent/docker/configure
exec /etc/confluent/docker/launch
SCRIPT
    }
    sequence "Python" '.*Kafka Server started.*' \
        sh -c "while [ ! -f $scratch/tc-start.sh ]; do sleep 0.1; done; exec sh $scratch/tc-start.sh"
}

dotnet() {
    prepare
    variables+=("KAFKA_LISTENERS=PLAINTEXT://:$client_port,BROKER://:$broker_port,CONTROLLER://:9094")
    after_start() {
        write /testcontainers.sh 0755 <<SCRIPT
#!/bin/bash
export KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://127.0.0.1:$client_port,BROKER://localhost:$broker_port
exec /etc/kafka/docker/run
SCRIPT
    }
    sequence ".NET" '.*Transitioning from RECOVERY to RUNNING.*' \
        sh -c 'while [ ! -f /testcontainers.sh ]; do sleep 0.1; done; exec /testcontainers.sh'
    rm "$root/testcontainers.sh"
}

node() {
    prepare
    variables+=("$(listeners PLAINTEXT "$client_port" "$broker_port")")
    after_start() {
        write $scratch/testcontainers_start.sh 0777 <<SCRIPT
#!/bin/bash
export KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://localhost:$client_port,BROKER://localhost:$broker_port
exec /etc/confluent/docker/run
SCRIPT
    }
    sequence "Node" '.*Kafka Server started.*' \
        sh -c "echo Waiting for script...; while [ ! -f $scratch/testcontainers_start.sh ]; do sleep 0.1; done; exec $scratch/testcontainers_start.sh"
}

bitnami() {
    prepare
    variables=("KAFKA_CFG_NODE_ID=0" "KAFKA_CFG_PROCESS_ROLES=controller,broker" \
        "KAFKA_CFG_LISTENERS=PLAINTEXT://:$client_port,CONTROLLER://:9093" \
        "KAFKA_CFG_LISTENER_SECURITY_PROTOCOL_MAP=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT" \
        "KAFKA_CFG_CONTROLLER_QUORUM_VOTERS=0@localhost:9093" "KAFKA_CFG_CONTROLLER_LISTENER_NAMES=CONTROLLER")
    sequence "Bitnami" 'started \(kafka.server.KafkaServer\)' \
        /opt/bitnami/scripts/kafka/entrypoint.sh /opt/bitnami/scripts/kafka/run.sh
}

for name in java go rust python dotnet node bitnami; do
    least=1000000 most=0
    for _ in $(seq 1 "$starts"); do
        "$name"
        [ "$took" -lt "$least" ] && least=$took
        [ "$took" -gt "$most" ] && most=$took
    done
    echo "$name: $starts starts, 0 failed, ready in $least to $most ms"
done
