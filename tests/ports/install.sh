#!/bin/sh
# What is installed serves a program outside of the tree, by pkg-config, shared and static, and Python; and goes again.
#    install.sh BUILD FOLDER
build=$1
rm -rf "$2/install"
mkdir -p "$2/install/stage" "$2/install/elsewhere"
out=$(cd "$2/install" && pwd)
fail() {
    echo "FAILED install: $*"
    exit 1
}

${MAKE:-make} --no-print-directory BUILD="$build" PREFIX="$out/usr" install > "$out/log" 2>&1 || fail "$(tail -5 "$out/log")"
if command -v nm > /dev/null; then
    nm -D --defined-only "$out/usr/lib/libtessera.so" | grep -v ' tsr_' && fail "exports more than tsr_"
    nm -D --defined-only "$out/usr/lib/libtessera.so" | grep 'tsr_pool_' | grep -v 'tsr_pool_options' && fail "exports what no header has"
fi
cp examples/xor.* "$out/elsewhere"
"$build/facenet" --help > "$out/here" && "$out/usr/bin/facenet" --help | cmp -s - "$out/here" || fail "the programs"
if command -v pkg-config > /dev/null; then
    export PKG_CONFIG_PATH="$out/usr/lib/pkgconfig"
    cd "$out/elsewhere" || exit 1
    ${CC:-cc} -std=c11 xor.c $(pkg-config --cflags --libs tessera) -o shared || fail "with the shared library"
    ${CC:-cc} -std=c11 xor.c $(pkg-config --cflags tessera) "$out/usr/lib/libtessera.a" \
        $(pkg-config --static --libs-only-other tessera) -lm -o static || fail "with the static library"
    LD_LIBRARY_PATH=$out/usr/lib ./shared > shared.txt && ./static > static.txt || fail "programs do not run"
    cmp shared.txt static.txt || fail "shared and static differ"
    cd - > /dev/null || exit 1
fi
if command -v python3 > /dev/null; then
    python3 "$out/elsewhere/xor.py" "$out/usr/lib/libtessera.so" > "$out/python.txt" || fail "from Python"
    tail -n 1 "$out/python.txt" | grep -q '^ 299  0\.0' || fail "from Python: $(cat "$out/python.txt")"
fi
${MAKE:-make} --no-print-directory BUILD="$build" PREFIX="$out/usr" uninstall > "$out/log" 2>&1
left=$(find "$out/usr" ! -type d)
[ -z "$left" ] || fail "left behind: $left"
${MAKE:-make} --no-print-directory BUILD="$build" PREFIX=/opt/tessera DESTDIR="$out/stage" install > "$out/log" 2>&1
grep -q '^prefix=/opt/tessera$' "$out/stage/opt/tessera/lib/pkgconfig/tessera.pc" || fail "DESTDIR"
echo "ok install"
