#!/bin/sh
# Runs once, when the database is created. The server's role owns its database, and is not a
# superuser. The server grants Grafana's role the right to read.
set -eu

psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
	--set server="$SNAPWATCH_DATABASE_PASSWORD" --set reader="$SNAPWATCH_READER_PASSWORD" <<'SQL'
CREATE ROLE snapwatch LOGIN PASSWORD :'server';
CREATE ROLE snapwatch_reader LOGIN PASSWORD :'reader' CONNECTION LIMIT 20;
ALTER ROLE snapwatch_reader SET default_transaction_read_only = on;
ALTER ROLE snapwatch_reader SET search_path = history, public;
ALTER ROLE snapwatch_reader SET statement_timeout = '60s';
CREATE DATABASE snapwatch OWNER snapwatch TEMPLATE template0;
\connect snapwatch
CREATE EXTENSION IF NOT EXISTS timescaledb;
REVOKE ALL ON DATABASE snapwatch FROM PUBLIC;
GRANT CONNECT ON DATABASE snapwatch TO snapwatch_reader;
SQL
