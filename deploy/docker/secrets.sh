#!/bin/sh
# Writes .env with a random password for each role of docker-compose.yml. What .env
# has already stays.
set -eu
umask 077
file=${1:-.env}
touch "$file"
for name in POSTGRES_PASSWORD SNAPWATCH_DATABASE_PASSWORD SNAPWATCH_READER_PASSWORD GRAFANA_ADMIN_PASSWORD; do
	grep -q "^$name=" "$file" && continue
	printf '%s=%s\n' "$name" "$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')" >>"$file"
done
echo "Grafana's admin has the password $(sed -n 's/^GRAFANA_ADMIN_PASSWORD=//p' "$file") ($file)"
