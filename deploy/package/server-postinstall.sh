#!/bin/sh
# Runs after an installation or an upgrade. With DPKG_ROOT the package is installed into another tree,
# so this script does not change the users and services of this system.
set -eu
[ -z "${DPKG_ROOT:-}" ] || exit 0
if ! getent passwd snapwatch >/dev/null; then
	useradd --system --user-group --home-dir /var/lib/snapwatch --no-create-home --shell /usr/sbin/nologin --comment "snapwatch server" snapwatch
fi
chown root:snapwatch /etc/snapwatch/snapwatch.env
chmod 0640 /etc/snapwatch/snapwatch.env
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	systemctl enable --quiet snapwatch.service
	systemctl restart snapwatch.service
fi
