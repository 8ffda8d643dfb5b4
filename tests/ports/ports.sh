#!/bin/sh
# Builds the library and its tests for each other machine that this one has a compiler and an emulator for, runs them
# there, and prints a table.    ports.sh BUILD [NAME...]
# Each port trains XOR to the loss of this machine within 1e-5; writes a file of weights, the same bytes everywhere; and
# reads, with its checksum, the one that this machine wrote. Programs linked statically need nothing of a foreign system.
build=$1
shift
wanted=" $* "
out=$build/ports
make=${MAKE:-make}
failed=0
weights=1682216832 # cksum of the file
# What takes minutes each in an emulator that computes floats by integers, and what needs several threads.
slow='a_style_step takes_at_most_16 winograd_keeps_its_error threads over_all_floats product_sums_of_long out_of_memory_'
mkdir -p "$out"
: > "$out/table"

# port NAME COMPILER PREFIX-OF-AR "COMMAND THAT RUNS" "LDFLAGS": the command is empty where programs run here.
port() {
    name=$1 compiler=$2 ar=$3ar runs=$4 flags=$5
    [ "$wanted" != "  " ] && case $wanted in *" $name "*) ;; *) return ;; esac
    for tool in ${compiler%% *} ${runs%% *}; do
        command -v "$tool" > /dev/null && continue
        echo "$name|-|no $tool here|||" >> "$out/table"
        return
    done
    folder=$out/$name
    echo "port $name"
    if ! $make LIBRARY_ONLY=1 CC="$compiler" AR="$ar" OPENMP=0 WARNINGS= LDFLAGS="$flags" BUILD="$folder" \
        "$folder/tests" "$folder/port" > "$folder.log" 2>&1; then
        echo "$name|$compiler|is not built|||" >> "$out/table"
        tail -5 "$folder.log"
        failed=1
        return
    fi
    suffix=
    [ -f "$folder/tests.exe" ] && suffix=.exe
    kernels=$($runs "$folder/tests$suffix" --levels | tr -d '\r' | grep -v emulated | tail -n 1)
    left_out=
    case $runs in qemu*) for part in $slow; do left_out="$left_out --without $part"; done ;; esac
    began=$(date +%s)
    TSR_KERNELS=$kernels timeout "${LIMIT:-1200}" $runs "$folder/tests$suffix" --library $left_out > "$folder.tests" 2>&1
    [ $? -eq 0 ] || failed=1
    seconds=$(($(date +%s) - began))
    passed=$(tail -n 1 "$folder.tests" | tr -d '\r' | grep passed)
    grep '^FAILED' "$folder.tests"
    loss=$($runs "$folder/port$suffix" "$folder.weights" "$out/here.weights" 2>> "$folder.tests") || loss=
    loss=$(echo "$loss" | tr -d '\r')
    files=same
    [ "$(cksum < "$folder.weights" | cut -d ' ' -f 1)" = $weights ] || files=other
    [ -n "$loss" ] || files='not read'
    near=$(echo "${loss:-1} $here" | awk '{ d = $1 - $2; print (d < 1e-5 && d > -1e-5) }')
    [ "$near" = 1 ] && [ "$files" = same ] || failed=1
    echo "$name|$compiler|$runs|$kernels|${passed:-did not end}, $seconds s|$loss|$files" >> "$out/table"
}

cc=${CC:-cc}
$make LIBRARY_ONLY=1 OPENMP=0 BUILD="$out/here" "$out/here/port" > "$out/here.log" 2>&1 || exit 1
here=$("$out/here/port" "$out/here.weights") || exit 1

port here "$cc" '' '' ''
port i686 'gcc -m32 -idirafter /usr/include/x86_64-linux-gnu' '' '' ''
port musl musl-gcc '' '' -static
port aarch64 aarch64-linux-gnu-gcc aarch64-linux-gnu- qemu-aarch64 -static
port armhf arm-linux-gnueabihf-gcc arm-linux-gnueabihf- qemu-arm -static
port riscv64 riscv64-linux-gnu-gcc riscv64-linux-gnu- qemu-riscv64 -static
port s390x s390x-linux-gnu-gcc s390x-linux-gnu- qemu-s390x -static
export WINEDEBUG="${WINEDEBUG:--all}"
port windows x86_64-w64-mingw32-gcc x86_64-w64-mingw32- wine ''
export NODE_PATH="${NODE_PATH:-/usr/share/nodejs}"
port wasm emcc em 'node --no-experimental-fetch' \
    '-sNODERAWFS=1 -sALLOW_MEMORY_GROWTH=1 -sMAXIMUM_MEMORY=4GB -sINITIAL_MEMORY=256MB'

{
    echo 'port|compiler|runs by|kernels|tests|XOR|file'
    cat "$out/table"
} | awk -F'|' '{ printf "%-8s  %-24.24s  %-12.12s  %-8s  %-46s  %-8s  %s\n", $1, $2, $3, $4, $5, $6, $7 }'
exit $failed
