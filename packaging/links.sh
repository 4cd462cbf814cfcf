#!/bin/sh
# Makes the directories and names that the compat layout needs, under the root directory given. The one place that lists
# the names by which the binary answers as a tool of Kafka.
set -eu
root=${1:?give the root directory of the image}

mkdir -p "$root/opt/kafka/bin" "$root/opt/kafka/config" "$root/opt/kafka/logs" "$root/opt/bitnami/kafka/bin" \
    "$root/var/lib/kafka/data" "$root/bitnami/kafka/data" "$root/mnt/shared/config" "$root/etc/kafka/secrets" \
    "$root/etc/confluent/docker" "$root/usr/bin" "$root/tmp"
chmod 1777 "$root/tmp"
chmod -R a+rX "$root/etc/kafka" "$root/etc/confluent" "$root/opt"
# Test libraries edit these, or write their own beside them, as whatever user the image has.
chmod 0777 "$root/etc/confluent/docker" "$root/etc/kafka/docker" "$root/usr/sbin" 2>/dev/null || true
chmod 0777 "$root"/etc/confluent/docker/* "$root"/etc/kafka/docker/run "$root"/opt/bitnami/scripts/kafka/*

for tool in kafka-topics kafka-console-producer kafka-console-consumer kafka-consumer-groups kafka-configs \
    kafka-get-offsets kafka-broker-api-versions kafka-storage kafka-delete-records; do
    ln -sf /usr/bin/onelog "$root/usr/bin/$tool"
    ln -sf /usr/bin/onelog "$root/opt/kafka/bin/$tool.sh"
    ln -sf /usr/bin/onelog "$root/opt/bitnami/kafka/bin/$tool.sh"
done
ln -sf /usr/bin/onelog "$root/usr/bin/cub"
for script in kafka-server-start.sh kafka-run-class.sh; do rm -f "$root/opt/kafka/bin/$script"; done
ln -sf /etc/kafka/docker/start "$root/opt/kafka/bin/kafka-server-start.sh"
