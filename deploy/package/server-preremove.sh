#!/bin/sh
# Before removing, not before upgrading: dpkg says "remove", rpm 0.
set -eu
[ -z "${DPKG_ROOT:-}" ] || exit 0
case "${1:-}" in remove | purge | 0) ;; *) exit 0 ;; esac
if [ -d /run/systemd/system ]; then
	systemctl disable --now --quiet snapwatch.service
fi
