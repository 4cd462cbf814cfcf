#!/usr/bin/env bash
exec /opt/bitnami/scripts/kafka/entrypoint.sh
