# Writes the library as two files:  awk -f amalgamate.awk FOLDER SOURCE...  makes FOLDER/tessera.h and FOLDER/tessera.c.
# What is included by "name" is put in the place where it is included, a header with an include guard only once.

function put(path,    line, part, lines) {
    while ((getline line < path) > 0) {
        lines++
        if (line ~ /^#include "/) {
            split(line, part, "\"")
            include(part[2])
        } else {
            print line > out
        }
    }
    if (!lines) {
        print "amalgamate.awk: " path " cannot be read" > "/dev/stderr"
        exit 1
    }
    close(path) # kernels are included once for each instruction set
}

function include(path) {
    if (path in home) {
        if (home[path] != out && !front++) print exported("#include \"tessera.h\"") > out
        return
    }
    if (guarded(path)) home[path] = out
    put(path)
}

function guarded(path,    line, found) {
    while (!found && (getline line < path) > 0) found = line ~ /^#ifndef TESSERA_/
    close(path)
    return found
}

# What is in the header is there for users of a shared library even where the rest is hidden.
function exported(line) {
    return "#ifdef __GNUC__\n#pragma GCC visibility push(default)\n#endif\n" line \
           "\n#ifdef __GNUC__\n#pragma GCC visibility pop\n#endif"
}

BEGIN {
    out = ARGV[1] "/tessera.h"
    include("tessera.h")
    out = ARGV[1] "/tessera.c"
    print "/* Tessera, the whole library: cc -std=c11 -O2 program.c tessera.c -lm */" > out
    print "#ifdef __clang__ /* a * b + c is two operations, except where a kernel says otherwise */" > out
    print "#pragma STDC FP_CONTRACT OFF\n#endif" > out
    print "#ifdef __GNUC__ /* a local name may be that of a function or a constant of another part */" > out
    print "#pragma GCC diagnostic ignored \"-Wshadow\"\n#endif" > out
    for (i = 2; i < ARGC; i++) {
        print "\n/* ==== " ARGV[i] " ==== */\n" > out
        put(ARGV[i])
    }
}
