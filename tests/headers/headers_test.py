#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The public headers as a stranger's compiler sees them. Prints TAP.

Each header compiles alone, as C17 and as C++17, without a warning; every macro in it is expanded once, as the kind of
thing its name promises; its functions have C names in C++ too.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from public_headers import functions, macros
from tap import Tap, complaints_of, run

ROOT = Path(os.environ.get("WEIR_SOURCE", Path(__file__).resolve().parents[2]))
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"]
COMPILERS = [
    ("gcc", ["gcc", "-x", "c", "-std=c17", "-Wstrict-prototypes"]),
    ("g++", ["g++", "-x", "c++", "-std=c++17"]),
    ("clang", ["clang", "-x", "c", "-std=c17", "-Wstrict-prototypes"]),
    ("clang++", ["clang++", "-x", "c++", "-std=c++17"]),
]

# A macro with parameters needs an example of its use, an expression.
FUNCTION_MACRO_EXAMPLES = {
    "WEIR_PRINTF": None,  # an attribute; every declaration that carries it expands it
}


def expansion(name, has_parameters):
    """Return a line of C that expands the macro, or a complaint."""
    if has_parameters:
        if name not in FUNCTION_MACRO_EXAMPLES:
            return None, f"{name} has parameters: show its use in FUNCTION_MACRO_EXAMPLES of tests/headers"
        example = FUNCTION_MACRO_EXAMPLES[name]
        return (f"    (void)({example});" if example else ""), None
    if name == "WEIR_ALL_DEFAULTS":
        return f"    weir_error defaults = {name}; (void)&defaults;", None
    if name.endswith("_INIT"):
        variable = name.lower()
        return f"    {variable.removesuffix('_init')} {variable} = {name}; (void)&{variable};", None
    return f"    (void)({name});", None


def check_alone(compiler, header):
    return complaints_of([*compiler, *WARNINGS, "-I", ROOT / "include", "-fsyntax-only", "-"],
                         input=f"#include <weir/{header.name}>\nextern int weir_unused;\n")


def check_macros(compiler, header):
    lines, problems = [], []
    for name, has_parameters in macros(header):
        line, problem = expansion(name, has_parameters)
        lines += [line] if line else []
        problems += [problem] if problem else []
    program = f"#include <weir/{header.name}>\nint main(void)\n{{\n" + "\n".join(lines) + "\n    return 0;\n}\n"
    return problems + complaints_of([*compiler, *WARNINGS, "-I", ROOT / "include", "-fsyntax-only", "-"], input=program)


def check_c_names(header, scratch):
    """In C++, functions without extern "C" would get other names and not link."""
    names = functions(header)
    lines = [f"#include <weir/{header.name}>", "typedef void (*any_function)(void);", "extern const any_function all[];"]
    lines += ["const any_function all[] = {"]
    lines += [f"    reinterpret_cast<any_function>({name})," for name in names] + ["    nullptr};", ""]
    output = scratch / "names.o"
    problems = complaints_of(["g++", "-x", "c++", "-std=c++17", "-I", ROOT / "include", "-c", "-o", output, "-"],
                             input="\n".join(lines))
    if problems:
        return problems
    wanted = set(run(["nm", "-u", output]).stdout.split())
    return [f"{name} has no C name in C++; it was looked for in {sorted(wanted)}" for name in names if name not in wanted]


def check_self(scratch):
    """The reading of headers that this test rests on."""
    sample = scratch / "sample.h"
    sample.write_text("#ifndef S_H\n#define S_H\n#define WEIR_A 1\n#define WEIR_B(x) \\\n    (x)\n#define WEIR_C_INIT {0}\n"
                      "// int weir_not_me(void);\nint weir_f(int a,\n           int b);\nconst char *weir_g(void);\n"
                      "typedef int (*weir_callback)(void);\n", encoding="utf-8")
    problems = []
    for what, got, wanted in (
            ("macros", macros(sample), [("WEIR_A", False), ("WEIR_B", True), ("WEIR_C_INIT", False)]),
            ("functions", functions(sample), ["weir_f", "weir_g"]),
            ("an unknown macro with parameters", expansion("WEIR_B", True)[0], None)):
        if got != wanted:
            problems.append(f"{what}: wanted {wanted}, got {got}")
    return problems


def main():
    tap = Tap()
    with tempfile.TemporaryDirectory(prefix="weir-headers-") as directory:
        scratch = Path(directory)
        tap.result("the test reads macros and functions out of a header", check_self(scratch))
        for header in sorted((ROOT / "include" / "weir").glob("*.h")):
            for name, command in COMPILERS:
                if not shutil.which(name):
                    tap.result(f"{header.name} with {name}", [], skip=f"{name} is not installed")
                    continue
                tap.result(f"{header.name} compiles alone with {name}", check_alone(command, header))
                tap.result(f"{header.name}: every macro expands with {name}", check_macros(command, header))
            tap.result(f"{header.name}: C names in C++", check_c_names(header, scratch))
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
