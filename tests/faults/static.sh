#!/bin/sh
# cppcheck over library and apps, clang-tidy over the sources given; what is not installed is left out.    static.sh FILE...
failed=0
if command -v cppcheck > /dev/null; then
    cppcheck --quiet --std=c11 --enable=warning,performance,portability -I. --suppressions-list=tests/faults/cppcheck.txt \
        --error-exitcode=1 core nn optim ops apps || failed=1
else
    echo "check-static: there is no cppcheck"
fi
if command -v clang-tidy > /dev/null; then
    for source in "$@"; do clang-tidy --quiet "$source" -- -std=c11 -I. 2> /dev/null || failed=1; done
else
    echo "check-static: there is no clang-tidy"
fi
[ $failed -eq 0 ] && echo "ok check-static"
exit $failed
