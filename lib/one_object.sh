#!/bin/sh
# SPDX-License-Identifier: MIT
# Links floors into one object in which only what is exported is global, so that names of weir's own
# (serve, dial, ...) meet no names of a program that links the library.
# usage: one_object.sh OBJCOPY OUTPUT FLOOR.a... -- COMPILER [OPTION...]
set -eu

objcopy=$1 output=$2
shift 2
floors=
while [ "$1" != -- ]; do
    floors="$floors $1"
    shift
done
shift
# shellcheck disable=SC2086
"$@" -r -nostdlib -o "$output" -Wl,--whole-archive $floors -Wl,--no-whole-archive
"$objcopy" --localize-hidden "$output"
