#!/bin/sh
# Generates man pages and shell completion from the programs, into bin/share.
# Usage: share.sh FOLDER-WITH-PROGRAMS
set -eu
programs=$1
out=bin/share
mkdir -p "$out"
for name in snapwatch snapwatch-agent; do
	"$programs/$name" --man | gzip -9 -n >"$out/$name.1.gz"
	for shell in bash zsh fish; do
		"$programs/$name" completion --code "$shell" | sed "s|$(cd "$programs" && pwd -P)/|/usr/bin/|" >"$out/$name.$shell"
	done
	sed -i "1i #compdef $name" "$out/$name.zsh"
done
