#!/usr/bin/env bash
# Programs of Kafka's ecosystem against a broker: kcat, a Prometheus exporter, sarama's console tools, Connect, MirrorMaker 2, Flink, Kafka Streams. Exits 1 when one fails.
# What they do and how they are judged is in ../../src/bin/ecosystem.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec cargo run --quiet --locked --package compat-tests --bin ecosystem -- "$@"
