#!/usr/bin/env bash
# Where Bitnami's image begins: KAFKA_CFG_* variables, data under /bitnami/kafka.
set -euo pipefail
: "${KAFKA_CFG_LOG_DIRS:=/bitnami/kafka/data}"
export KAFKA_CFG_LOG_DIRS
if [ $# -gt 0 ] && [ "$1" != /opt/bitnami/scripts/kafka/run.sh ]; then
    exec "$@"
fi
exec /usr/bin/onelog
