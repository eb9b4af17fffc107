#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Check how the sources are written. Prints TAP.

Each rule is a function from (path, text) to complaints `(line, sentence)`, where the path is relative to the top of the
project and the sentence says what to do instead. RULES names them. SAMPLES holds, for each rule, text that breaks it
and text that does not; they run first, because a rule that cannot fail protects nothing.
"""

import os
import re
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from tap import Tap, run

ROOT = Path(os.environ.get("WEIR_SOURCE", Path(__file__).resolve().parents[2]))
C_DIRECTORIES = ["include", "src", "bench", "tests", "examples"]
TEXT_DIRECTORIES = C_DIRECTORIES + ["script", "docs", "completions", ".ci"]
TEXT_SUFFIXES = {".c", ".h", ".py", ".sh", ".md", ".build", ".bash", ".zsh", ".fish", ""}
FUNCTION_LINES_MAX = 70
LINE_COLUMNS_MAX = 120
CLANG_FORMAT_VERSION = 14  # another version breaks lines elsewhere

# ---------------------------------------------------------------------------------------------------------------------
# Reading C


def blank(match):
    """Keep the line breaks of what is removed, so that line numbers stay right."""
    return " " + "\n" * match[0].count("\n")


def code_only(text):
    """Return C text without its comments and without the content of its string literals."""
    token = r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''
    return re.sub(token, lambda m: '""' if m[0][0] in "\"'" else blank(m), text, flags=re.DOTALL)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def is_c(path):
    return path.endswith((".c", ".h"))


def is_test(path):
    return path.endswith("_test.c") or path.startswith("tests/")


def part_of(path):
    """Return the part of the house a file belongs to: `src/wal/x.c` is `wal`, `include/weir/wal.h` is `public`."""
    pieces = path.split("/")
    if pieces[0] == "src":
        return pieces[1] if len(pieces) > 2 else None
    return {"include": "public", "bench": "bench"}.get(pieces[0])


# ---------------------------------------------------------------------------------------------------------------------
# The rules


def prologue(path, text):
    """A file introduces itself: the licence, then what it is for."""
    if not is_c(path):
        return
    lines = text.split("\n")
    if lines[0] != "// SPDX-License-Identifier: MIT":
        yield 1, "the first line must be `// SPDX-License-Identifier: MIT`"
        return
    rest = "\n".join(lines[1:]).lstrip()
    comment = re.match(r"/\*(.*?)\*/|((?://[^\n]*\n?)+)", rest, re.DOTALL)
    words = re.findall(r"\w+", (comment[1] or comment[2]) if comment else "")
    if len(words) < 5:
        yield 2, "after the licence line, say in a comment what this file is for"


def function_length(path, text):
    """Functions stay short. The format puts a function's braces, and only those, alone in the first column."""
    if not path.endswith((".c", ".h")):
        return
    opened = None
    for number, line in enumerate(code_only(text).split("\n"), 1):
        if line.rstrip() == "{":
            opened = number
        elif line.startswith("}") and opened:
            length = number - opened + 1
            if length > FUNCTION_LINES_MAX:
                yield opened, f"this function has {length} lines, at most {FUNCTION_LINES_MAX} are allowed: split it"
            opened = None


def line_length(path, text):
    """clang-format sees to code; comments and strings keep their lines, so these have a limit of their own."""
    if not is_c(path):
        return
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > LINE_COLUMNS_MAX:
            yield number, f"this line has {len(line)} columns, at most {LINE_COLUMNS_MAX} are allowed: break it"


LEFTOVERS = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")


def leftovers(_path, text):
    """Nothing is left for later inside the code; what is not done is an issue."""
    for match in LEFTOVERS.finditer(text):
        yield line_of(text, match.start()), f"`{match[0]}` is left: do it, or open an issue and remove the mark"


TEXT_BUFFER = "use the growable buffer of base/text.h, or snprintf with a checked result"
PARSE_NUMBER = "use strtol/strtoll/strtod with end pointer, range and errno checked"
WAIT = "wait on a condition, poll with a deadline through tests/support, or move the fake clock"
RANDOM = "use getrandom(), or a seeded generator where a test must repeat"
BANNED = {
    "strcpy": TEXT_BUFFER,
    "strncpy": TEXT_BUFFER,
    "strcat": TEXT_BUFFER,
    "strncat": TEXT_BUFFER,
    "sprintf": TEXT_BUFFER,
    "vsprintf": TEXT_BUFFER,
    "gets": "use getline or fgets",
    "atoi": PARSE_NUMBER,
    "atol": PARSE_NUMBER,
    "atoll": PARSE_NUMBER,
    "atof": PARSE_NUMBER,
    "strtok": "use strchr, strcspn or strtok_r",
    "alloca": "use a fixed array with a named size, or malloc",
    "system": "use posix_spawn with an argument list; a shell would interpret its text",
    "popen": "use pipe2 and posix_spawn with an argument list",
    "signal": "use sigaction",
    "usleep": WAIT,
    "rand": RANDOM,
    "srand": RANDOM,
    "random": RANDOM,
    "gmtime": "use gmtime_r",
    "localtime": "use localtime_r",
    "ctime": "use strftime",
    "asctime": "use strftime",
    "tmpnam": "use mkdtemp or mkostemp",
    "mktemp": "use mkdtemp or mkostemp",
}
BANNED_IN_TESTS = {"sleep": WAIT, "nanosleep": WAIT, "clock_nanosleep": WAIT}
BANNED_IN_CODE = {"assert": "use WEIR_ASSERT of base/assert.h, which stays on in release builds"}


def banned_calls(path, text):
    """Some functions of the C library have a better one beside them."""
    if not is_c(path):
        return
    banned = dict(BANNED, **(BANNED_IN_TESTS if is_test(path) else BANNED_IN_CODE))
    if path.startswith("tests/support/"):  # the one place that implements waiting
        banned = BANNED
    code = code_only(text)
    for match in re.finditer(r"(?<![\w.>])(\w+)\s*\(", code):
        if match[1] in banned:
            yield line_of(code, match.start()), f"{match[1]}() is not used here: {banned[match[1]]}"


# Which directories and public headers each part may include. Arrows point down.
MAY_INCLUDE = {
    "base": {"base", "weir/error.h"},
    "wal": {"base", "wal", "weir/error.h", "weir/wal.h"},
    "store": {"base", "wal", "store", "weir/error.h", "weir/wal.h", "weir/weir.h"},
    "runs": {"base", "runs", "weir/error.h", "weir/weir.h", "weir/runs.h"},
    "activity": {"base", "activity", "weir/error.h", "weir/weir.h", "weir/activity.h"},
    "server": {"base", "server", "weir"},
    "bench": {"base", "bench", "weir", "store/vfs.h"},  # plain SQLite is slowed down by the same VFS
    "cli": {"base", "cli", "server", "bench", "weir"},  # its commands start the other two
    "public": {"weir"},
}
SQLITE_ALLOWED = {"store", "bench"}
SQLITE_ALLOWED_FILES = {"src/runs/backup.c"}  # only SQLite's backup interface copies a database that is open


def layering(path, text):
    """Nothing includes what is above it, and few know SQLite."""
    part = part_of(path)
    if part is None or not is_c(path) or is_test(path):
        return
    if part not in MAY_INCLUDE:
        yield 1, f"src/{part} is not in the table of tests/style: say there what it may include"
        return
    without_comments = re.sub(r"/\*.*?\*/", blank, text, flags=re.DOTALL)
    for match in re.finditer(r'^[ \t]*#[ \t]*include[ \t]*["<]([^">]+)[">]', without_comments, re.MULTILINE):
        line, header = line_of(without_comments, match.start()), match[1]
        if header == "sqlite3.h":
            if part not in SQLITE_ALLOWED and path not in SQLITE_ALLOWED_FILES:
                yield line, f"{part}/ does not include sqlite3.h: go through the store (include/weir/weir.h)"
            continue
        directory = header.split("/")[0]
        known = directory == "weir" or directory in MAY_INCLUDE
        if known and directory not in MAY_INCLUDE[part] and header not in MAY_INCLUDE[part]:
            yield line, f"{part}/ may not include {header}: {', '.join(sorted(MAY_INCLUDE[part]))} only"


RULES = {
    "prologue": prologue,
    "function length": function_length,
    "line length": line_length,
    "leftovers": leftovers,
    "banned calls": banned_calls,
    "layering": layering,
}

# ---------------------------------------------------------------------------------------------------------------------
# The samples: (rule, path, text, what the complaint must contain, or None where there must be none)

HEAD = "// SPDX-License-Identifier: MIT\n// Copies a page from the log into the file.\n"


def function_of(lines):
    return HEAD + "int f(void)\n{\n" + "    x();\n" * (lines - 2) + "}\n"


SAMPLES = [
    ("prologue", "src/base/a.c", "int x;\n", "SPDX"),
    ("prologue", "src/base/a.c", "// SPDX-License-Identifier: MIT\nint x;\n", "what this file is for"),
    ("prologue", "src/base/a.h", "// SPDX-License-Identifier: MIT\n/* a.h */\nint x;\n", "what this file is for"),
    ("prologue", "src/base/a.c", HEAD, None),
    ("function length", "src/base/a.c", function_of(71), "71 lines"),
    ("function length", "src/base/a.c", function_of(70), None),
    ("function length", "src/base/a.c", "struct x {\n" + "    int a;\n" * 90 + "};\n", None),
    ("line length", "src/base/a.c", "// " + "x" * 118 + "\n", "121 columns"),
    ("line length", "src/base/a.c", "// " + "─" * 117 + "\n", None),
    ("leftovers", "src/base/a.c", "// TO" + "DO: later\n", "is left"),
    ("leftovers", "docs/a.md", "FIX" + "ME\n", "is left"),
    ("leftovers", "src/base/a.c", "// to do the same again\n", None),
    ("layering", "src/wal/a.c", "#include <sqlite3.h>\n", "sqlite3.h"),
    ("layering", "src/base/a.c", "# include <sqlite3.h>\n", "sqlite3.h"),
    ("layering", "src/runs/a.c", "#include <sqlite3.h>\n", "sqlite3.h"),
    ("layering", "include/weir/weir.h", "#include <sqlite3.h>\n", "sqlite3.h"),
    ("layering", "src/base/a.c", '#include "wal/frame.h"\n', "may not include wal/frame.h"),
    ("layering", "src/wal/a.c", '#include "weir/weir.h"\n', "may not include weir/weir.h"),
    ("layering", "src/store/a.c", '#include "runs/model.h"\n', "may not include runs/model.h"),
    ("layering", "src/runs/a.c", '#include "store/writer.h"\n', "may not include store/writer.h"),
    ("layering", "src/cli/a.c", '#include "runs/model.h"\n', "may not include runs/model.h"),
    ("layering", "src/server/a.c", '#include "cli/args.h"\n', "may not include cli/args.h"),
    ("layering", "src/attic/a.c", "", "not in the table"),
    ("layering", "src/store/a.c", '#include <sqlite3.h>\n#include "wal/frame.h"\n#include <weir/weir.h>\n', None),
    ("layering", "src/wal/a_test.c", "#include <sqlite3.h>\n", None),
    ("layering", "src/base/a.c", "/* not\n#include <sqlite3.h>\n*/\n", None),
    ("banned calls", "src/base/a.c", "void f(void)\n{\n    strcpy /* why */ (a, b);\n}\n", "strcpy()"),
    ("banned calls", "src/base/a.c", "assert(x);\n", "WEIR_ASSERT"),
    ("banned calls", "src/base/a_test.c", "assert(x);\n", None),
    ("banned calls", "src/base/a.c", "nanosleep(&t, NULL);\n", None),
    ("banned calls", "tests/support/poll.c", "nanosleep(&t, NULL);\n", None),
    ("banned calls", "src/base/a.c", '// strcpy(a, b)\nputs("strcpy(a, b)");\nx->signal(1);\nmy_rand(3);\n', None),
] + [
    ("banned calls", path, f"    x = {call}(y);\n", f"{call}() is not used here: {advice}")
    for path, calls in (("src/base/a.c", BANNED), ("src/base/a_test.c", BANNED_IN_TESTS))
    for call, advice in calls.items()
]


def sample_fails(sample):
    """Return why a sample does not behave as it should, or None."""
    rule, path, text, expected = sample
    complaints = [sentence for _, sentence in RULES[rule](path, text)]
    if expected is None:
        return f"{path}: complained without reason: {complaints}" if complaints else None
    if not any(expected in sentence for sentence in complaints):
        return f"{path}: expected a complaint with {expected!r}, got {complaints} for:\n{text}"
    return None


# ---------------------------------------------------------------------------------------------------------------------
# The formatting


def clang_format_major():
    if not shutil.which("clang-format"):
        return None
    match = re.search(r"version (\d+)", run(["clang-format", "--version"]).stdout)
    return int(match[1]) if match else None


def unformatted(paths):
    """Return what clang-format would change."""
    if not paths:
        return ""
    command = ["clang-format", "--dry-run", "-Werror", "--style=file", *paths]
    done = run(command, cwd=ROOT)
    places = {}
    for path, line in re.findall(r"^(\S+?):(\d+):\d+: ", done.stderr, re.MULTILINE):
        places.setdefault(path, []).append(line)
    if done.returncode != 0 and not places:
        return done.stderr
    return "\n".join(f"{path}:{lines[0]}: {len(lines)} places" for path, lines in places.items())


def bad_sample_is_unformatted():
    command = ["clang-format", "--dry-run", "-Werror", "--style=file", "--assume-filename=src/base/a.c"]
    return run(command, cwd=ROOT, input="int  f( void ){return 1;}\n").returncode != 0


# ---------------------------------------------------------------------------------------------------------------------
# Running


def sources(directories, wanted):
    found = []
    for directory in directories:
        for path in sorted((ROOT / directory).rglob("*")):
            if path.is_file() and not path.is_symlink() and wanted(path) and "__pycache__" not in path.parts:
                found.append(str(path.relative_to(ROOT)))
    return found


def main():
    tap = Tap()
    for rule in RULES:
        problems = [sample_fails(sample) for sample in SAMPLES if sample[0] == rule]
        tap.result(f"the rule `{rule}` finds its bad samples", [p for p in problems if p])

    texts = sources(TEXT_DIRECTORIES, lambda path: path.suffix in TEXT_SUFFIXES)
    contents = {path: (ROOT / path).read_text(encoding="utf-8") for path in texts}
    for rule, check in RULES.items():
        problems = [f"{path}:{line}: {sentence}"
                    for path, text in contents.items() for line, sentence in check(path, text)]
        tap.result(f"{rule}: {len(contents)} files", problems)

    if clang_format_major() == CLANG_FORMAT_VERSION:
        tap.result("clang-format finds its bad sample", [] if bad_sample_is_unformatted() else ["it did not"])
        report = unformatted([path for path in texts if is_c(path)])
        tap.result("formatting: run clang-format -i on what is named here", [report] if report else [])
    else:
        tap.result("formatting", [], skip=f"needs clang-format {CLANG_FORMAT_VERSION}")
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
