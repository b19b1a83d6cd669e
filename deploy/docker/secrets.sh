#!/bin/sh
# Adds the random secrets that docker-compose.yml needs to .env: passwords of database roles and of
# Grafana, and the secrets of the agent and of Prometheus. Existing lines of .env stay.
set -eu
umask 077
file=${1:-.env}
touch "$file"
for name in POSTGRES_PASSWORD SNAPWATCH_DATABASE_PASSWORD SNAPWATCH_READER_PASSWORD SNAPWATCH_ENROLMENT_KEY SNAPWATCH_METRICS_TOKEN GRAFANA_ADMIN_PASSWORD; do
	grep -q "^$name=" "$file" && continue
	printf '%s=%s\n' "$name" "$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')" >>"$file"
done
echo "The password of Grafana's user admin is $(sed -n 's/^GRAFANA_ADMIN_PASSWORD=//p' "$file") ($file)"
