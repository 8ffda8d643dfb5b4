#!/bin/sh
# Writes the table of tests: every TEST, GRADCHECK line of the sources given, and the names of all ops of the library.
#   tests/list.sh float|double SOURCE...
real=$1
shift
kinds='TEST|TEST_LONG'
[ "$real" = double ] && kinds="$kinds|TEST_DOUBLE|GRADCHECK" || kinds="$kinds|TEST_FLOAT"

names() { # names KIND-PATTERN FILE...
    pattern=$1
    shift
    sed -n -E "s/^($pattern)\\(([A-Za-z0-9_]+)\\).*/\\1 \\2 /p" "$@"
}

echo '#include "tests/registry.h"'
names "$kinds" "$@" | while read -r kind name; do
    case $kind in
    GRADCHECK) echo "void gradcheck_$name(tsr_context *ctx);" ;;
    *) echo "void test_$name(void);" ;;
    esac
done
echo 'const test_entry test_entries[] = {'
for source in "$@"; do
    case $source in tests/apps/*) of_programs=true ;; *) of_programs=false ;; esac
    names "$kinds" "$source" | grep -v '^GRADCHECK ' | while read -r kind name; do
        [ "$kind" = TEST_LONG ] && is_long=true || is_long=false
        echo "    {\"$name\", test_$name, $is_long, $of_programs},"
    done
done
echo '    {0, 0, false, false}};'
echo 'const gradcheck_entry gradcheck_entries[] = {'
names "$kinds" "$@" | sed -n 's/^GRADCHECK //p' | while read -r name; do
    echo "    {\"$name\", gradcheck_$name},"
done
echo '    {0, 0}};'
echo 'const char *const op_names[] = {'
{
    cat ops/*.c | tr '\n' ' ' | grep -o -E '\.name = "[a-z0-9_]+",[ ]+\.backward' | sed -E 's/.*"([a-z0-9_]+)".*/    "\1",/'
    sed -n -E 's/^TSR_(UNARY|BINARY)(_OP)?\(([a-z0-9_]+),.*/    "\3",/p' ops/*.c
} | sort -u
echo '    0};'
