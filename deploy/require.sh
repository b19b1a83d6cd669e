#!/bin/sh
# Checks that tools are installed, and installs missing ones with the system's package manager.
# It prints what it installs. Usage: deploy/require.sh postgresql chromium …
set -eu

has_postgresql() {
	for server in "$(command -v postgres || true)" /usr/lib/postgresql/*/bin/postgres /usr/pgsql-*/bin/postgres \
		/usr/libexec/postgresql*/postgres /opt/homebrew/opt/postgresql@*/bin/postgres /usr/local/opt/postgresql@*/bin/postgres; do
		[ -x "$server" ] || continue
		major=$("$server" --version | sed -E 's/.*PostgreSQL\) ([0-9]+).*/\1/')
		[ "$major" -ge 15 ] && return 0
	done
	return 1
}

as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# Keeps Debian's package from creating a cluster of its own.
no_main_cluster() {
	dir=/etc/postgresql-common/createcluster.d
	as_root mkdir -p "$dir"
	printf 'create_main_cluster = false\n' | as_root tee "$dir/snapwatch.conf" >/dev/null
}

# Keeps Debian's package from starting a Prometheus of its own.
no_prometheus_service() {
	[ -d /run/systemd/system ] || return 0
	as_root systemctl mask --quiet prometheus.service
}

# Keeps Debian's package from starting an nginx of its own.
no_nginx_service() {
	[ -d /run/systemd/system ] || return 0
	as_root systemctl mask --quiet nginx.service
}

# Keeps Debian's package from starting a PgBouncer of its own.
no_pgbouncer_service() {
	[ -d /run/systemd/system ] || return 0
	as_root systemctl mask --quiet pgbouncer.service
}

# install DESCRIPTION DEBIAN FEDORA ALPINE BREW: installs a package by its name in each system.
install() {
	if command -v apt-get >/dev/null; then set -- "$1" apt-get install -y --no-install-recommends "$2"
	elif command -v dnf >/dev/null; then set -- "$1" dnf install -y "$3"
	elif command -v apk >/dev/null; then set -- "$1" apk add "$4"
	elif command -v brew >/dev/null; then brew_install "$1" "$5"; return
	else echo "snapwatch needs $1. Install it and try again." >&2; exit 1; fi
	what=$1
	shift
	echo "snapwatch needs $what. Installing it with: $*" >&2
	if [ "$1" = apt-get ]; then
		as_root apt-get update -qq
		as_root env DEBIAN_FRONTEND=noninteractive "$@" >/dev/null
	else
		as_root "$@"
	fi
}

brew_install() {
	echo "snapwatch needs $1. Installing it with: brew install $2" >&2
	brew install "$2"
}

for tool in "$@"; do
	case $tool in
	go | node)
		command -v "$tool" >/dev/null || { echo "The build of snapwatch needs $tool. Install it and try again." >&2; exit 1; }
		;;
	postgresql)
		has_postgresql && continue
		if command -v apt-get >/dev/null; then no_main_cluster; fi
		install "a PostgreSQL server (15 or newer)" postgresql postgresql-server postgresql postgresql@17
		has_postgresql || { echo "The installed PostgreSQL is older than 15. Set DATABASE_URL to a newer server." >&2; exit 1; }
		;;
	gcc)
		command -v gcc >/dev/null || install "a C compiler (for Go's race detector)" build-essential gcc build-base gcc
		;;
	chromium)
		[ -n "${CHROMIUM:-}" ] || [ -x /usr/bin/chromium-headless-shell ] || [ -x /usr/bin/chromium ] ||
			install "Chromium (for the browser tests)" chromium-headless-shell chromium chromium chromium ||
			install "Chromium (for the browser tests)" chromium chromium chromium chromium
		;;
	prometheus)
		command -v prometheus >/dev/null && command -v promtool >/dev/null && continue
		if command -v apt-get >/dev/null; then no_prometheus_service; fi
		install "Prometheus (for the tests of metrics and rules)" prometheus golang-github-prometheus prometheus prometheus
		;;
	nginx)
		[ -x /usr/sbin/nginx ] || command -v nginx >/dev/null && continue
		if command -v apt-get >/dev/null; then no_nginx_service; fi
		install "nginx (for the test of reverse proxies)" nginx nginx nginx nginx
		;;
	pgbouncer)
		[ -x /usr/sbin/pgbouncer ] || command -v pgbouncer >/dev/null && continue
		if command -v apt-get >/dev/null; then no_pgbouncer_service; fi
		install "PgBouncer (for the test of connection poolers)" pgbouncer pgbouncer pgbouncer pgbouncer
		;;
	systemd)
		command -v systemd-analyze >/dev/null || install "systemd-analyze (to check the units)" systemd systemd systemd systemd
		;;
	*)
		echo "deploy/require.sh: unknown tool $tool" >&2
		exit 2
		;;
	esac
done
