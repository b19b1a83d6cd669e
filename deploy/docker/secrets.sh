#!/bin/sh
# Writes .env with a random secret for each part of docker-compose.yml: database roles,
# Grafana, and what the agent and Prometheus show the server. What .env has stays.
set -eu
umask 077
file=${1:-.env}
touch "$file"
for name in POSTGRES_PASSWORD SNAPWATCH_DATABASE_PASSWORD SNAPWATCH_READER_PASSWORD SNAPWATCH_ENROLMENT_KEY SNAPWATCH_METRICS_TOKEN GRAFANA_ADMIN_PASSWORD; do
	grep -q "^$name=" "$file" && continue
	printf '%s=%s\n' "$name" "$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')" >>"$file"
done
echo "Grafana's admin has the password $(sed -n 's/^GRAFANA_ADMIN_PASSWORD=//p' "$file") ($file)"
