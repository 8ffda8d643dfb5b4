#!/bin/sh
# Runs the tests of a build made with --coverage and adds up the lines that ran, by folder.    coverage.sh BUILD [MISSED]
# A line counts as run if it ran in either precision, with any kernels that this machine has; kernels for other machines
# count as not run. Fails below 95 % of the lines of core, ops, nn and optim together.
build=$1
missed=$2
command -v gcov > /dev/null || { echo "coverage: there is no gcov"; exit 77; }
find "$build" -name '*.gcda' -exec rm {} +
for level in $("$build/tests" --levels); do
    [ "$level" = tiles-emulated ] && continue # minutes for kernels of another CPU
    TSR_KERNELS=$level "$build/tests" --library > "$build/talk" 2>&1 || { tail -n 20 "$build/talk"; exit 1; }
done
"$build/double/tests" > "$build/talk" 2>&1 || { tail -n 20 "$build/talk"; exit 1; }
for real in float double; do
    for folder in core core/kernels ops nn optim; do
        gcov --stdout --object-directory "$build/$real/objects/$folder" $folder/*.c 2> /dev/null
    done
    # The tests link core/kernels/kernels.c as this file includes it, with one kernel more.
    gcov --stdout --object-directory "$build/$real/objects/tests" tests/emulated.c 2> /dev/null
done | awk -v missed="$missed" '
    # COUNT:LINE:TEXT; the count is - for no code, ##### for code that never ran. Source: names the file that follows.
    { split($0, part, ":"); count = part[1]; line = part[2] + 0; gsub(/[ *]/, "", count) }
    line == 0 && part[3] == "Source" { file = part[4]; next }
    line == 0 || count == "-" || file !~ /^(core|ops|nn|optim)\// { next }
    {
        at = file ":" line
        if (!(at in ran)) { ran[at] = 0; text[at] = substr($0, index($0, part[3])); order[++lines] = at }
        if (count !~ /^[#=]/) ran[at] = 1
    }
    END {
        for (i = 1; i <= lines; i++) {
            folder = order[i]
            sub(/\/[^\/]*$/, "", folder)
            of[folder]++
            good[folder] += ran[order[i]]
            if (missed && !ran[order[i]]) print order[i] ": " text[order[i]]
        }
        print "folder          lines    ran"
        for (folder in of) {
            printf "%-14s %6d %6d  %6.2f %%\n", folder, of[folder], good[folder], 100 * good[folder] / of[folder] | "sort"
            total += of[folder]
            all += good[folder]
        }
        close("sort")
        if (!total) { print "coverage: gcov told nothing"; exit 1 }
        printf "%-14s %6d %6d  %6.2f %%\n", "total", total, all, 100 * all / total
        exit 100 * all < 95 * total
    }'
