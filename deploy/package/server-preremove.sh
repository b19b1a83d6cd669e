#!/bin/sh
# Runs before a removal, and does nothing before an upgrade: dpkg passes "remove", rpm passes 0.
set -eu
[ -z "${DPKG_ROOT:-}" ] || exit 0
case "${1:-}" in remove | purge | 0) ;; *) exit 0 ;; esac
if [ -d /run/systemd/system ]; then
	systemctl disable --now --quiet snapwatch.service
fi
