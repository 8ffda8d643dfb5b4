#!/bin/sh
# The library has no state outside of contexts: no object of it has data that could be written to. Nor does it call what
# ends a process, prints, or keeps a state of its own.    globals.sh BUILD
build=$1
command -v nm > /dev/null && nm --format=sysv "$build/libtessera.a" > /dev/null 2>&1 ||
    { echo "skipped globals: there is no nm that tells sections"; exit 77; }
grep -q __asan_init "$build/libtessera.a" && { echo "skipped globals: sanitizers add data of their own"; exit 77; }

# Names of what lies in sections that are written to (.data.rel.ro holds constants that the loader fills in).
written() {
    nm --format=sysv "$@" | awk -F'|' '{gsub(/ /, "")} $7 ~ /^(\.bss|\.data|\.tbss|\.tdata|\*COM\*)/ && $7 !~ /^\.data\.rel\.ro/ {print $1, $7}'
}

[ -n "$(written "$build/float/objects/tests/main.o")" ] || { echo "FAILED globals: the test's own state was not seen"; exit 1; }
failed=0
for library in "$build/libtessera.a" "$build/double/libtessera.a"; do
    found=$(written "$library")
    [ -z "$found" ] || { echo "FAILED globals: $library has $found"; failed=1; }
    called=$(nm -u "$library" | grep -wE 'exit|abort|printf|puts|putchar|rand|srand|strtok|localtime|setlocale|signal')
    [ -z "$called" ] || { echo "FAILED globals: $library calls $called"; failed=1; }
done
[ $failed -eq 0 ] && echo "ok globals: nothing in the library can be written to but what a context owns"
exit $failed
