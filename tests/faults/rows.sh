#!/bin/sh
# Every public function is given bad arguments somewhere in tests/unit/test_bad_arguments*.c.    rows.sh
missing=0
count=0
# A declaration begins its line, and its name comes before the first bracket.
headers=$(sed -n -E 's/^#include "(.*)"/\1/p' tessera.h core/core.h)
for name in $(cat $headers | sed -n -E 's/^[a-z][a-z0-9_ ]*[ *](tsr_[a-z0-9_]+)\(.*/\1/p' | grep -v '_body$' | sort -u); do
    count=$((count + 1))
    # tsr_NAME, or NAME where a macro of the test puts it together.
    if ! grep -qE "\\b($name|OF_(X|AB)\\(${name#tsr_}),?\\b" tests/unit/test_bad_arguments*.c; then
        echo "FAILED rows: no test gives $name bad arguments"
        missing=1
    fi
done
[ "$count" -lt 200 ] && echo "FAILED rows: only $count functions found in the headers" && missing=1
[ $missing -eq 0 ] && echo "ok rows: $count public functions are given bad arguments"
exit $missing
