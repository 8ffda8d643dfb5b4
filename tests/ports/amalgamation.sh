#!/bin/sh
# The two files with every compiler that is here: the XOR program prints what it prints with the ordinary library, in the
# same bits. Unoptimised, which takes seconds; --long: as one would build it.    amalgamation.sh BUILD FOLDER [--long]
build=$1
out=$2/amalgamation
failed=0
grep -q __asan_init "$build/libtessera.a" && { echo "skipped amalgamation: the library is built with sanitizers"; exit 77; }
rm -rf "$out"
mkdir -p "$out"

works() { # works COMPILER...: can it make a program?
    echo '#include <errno.h>
#include <math.h>
int main(int n, char **a) { (void)a; return (int)floor(n); }' > "$out/works.c"
    "$@" "$out/works.c" -o "$out/works" -lm 2> "$out/errors"
}

# check LEVELS COMPILER...: compiles without a word, and gives the ordinary library's bits with these kernels, if any.
check() {
    levels=$1
    shift
    works "$@" || return
    echo "amalgamation: $*"
    if ! "$@" -I"$build" examples/xor.c "$library" -o "$out/xor" -lm 2> "$out/errors" || [ -s "$out/errors" ]; then
        echo "FAILED amalgamation: $*"
        head -20 "$out/errors"
        failed=1
        return
    fi
    compare "$levels" "$*"
}

compare() { # compare LEVELS WHAT
    for level in $1; do
        TSR_KERNELS=$level "$out/expected" > "$out/expected.txt"
        TSR_KERNELS=$level "$out/xor" | cmp -s - "$out/expected.txt" && continue
        echo "FAILED amalgamation: $2, kernels $level: not the bits of the ordinary build"
        failed=1
    done
}

cc=${CC:-cc}
openmp=
works $cc -fopenmp && openmp=-fopenmp
$cc -std=c11 $openmp -I. examples/xor.c "$build/libtessera.a" -o "$out/expected" -lm || exit 1
all=$("$build/tests" --levels | grep -v emulated)
warnings='-Wall -Wextra -Wpedantic -Wconversion'

# Without optimisation no multiplication is fused with an addition, as the kernels for AVX2 ask for.
library=$out/tessera.o
$cc -std=c11 -O0 $warnings -Werror -c "$build/tessera.c" -o "$library" || failed=1
check 'plain baseline' $cc -std=c11 -O0 $warnings
library=$build/tessera.c
check plain tcc
for cxx in g++ clang++; do
    works $cxx -std=c++11 -x c++ || continue
    echo "amalgamation: $cxx"
    if $cxx -std=c++11 $warnings -Werror -I"$build" tests/ports/xor.cpp "$out/tessera.o" -o "$out/xor" -lm; then
        compare plain $cxx
    else
        failed=1
    fi
done
case " $* " in
*" --long "*)
    for compiler in gcc clang; do
        check "$all" $compiler -std=c11 -O2 $warnings
        check "$all" $compiler -std=c17 -O3
        check "$all" $compiler -std=c11 -Os
        check '' $compiler -std=c11 -O2 -m32
    done
    ;;
esac
[ $failed -eq 0 ] && echo "ok amalgamation"
exit $failed
