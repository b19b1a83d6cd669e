#!/bin/sh
# Compiles the BPF programs, and records the checksums of their source. A test compares these.
set -eu
cd "$(dirname "$0")"
clang=$(command -v clang || command -v clang-14)
strip=$(command -v llvm-strip || command -v llvm-strip-14)
"$clang" -O2 -g -Wall -Werror -target bpf -mcpu=v3 "-ffile-prefix-map=$PWD=." -c snapwatch.bpf.c -o snapwatch.bpf.o
"$strip" -g snapwatch.bpf.o
sha256sum kernel.h snapwatch.bpf.c snapwatch.bpf.o > checksums
