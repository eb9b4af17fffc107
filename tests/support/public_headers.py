# SPDX-License-Identifier: MIT
"""Reads names out of public headers, for the tests that hold them against what was built."""

import re


def macros(header):
    """Return (name, has parameters) of each macro that the header defines with a value."""
    text = re.sub(r"\\\n", " ", header.read_text(encoding="utf-8"))
    found = re.findall(r"^[ \t]*#[ \t]*define[ \t]+(\w+)(\([^)]*\))?[ \t]+(\S.*)$", text, re.MULTILINE)
    return sorted({(name, bool(parameters)) for name, parameters, _ in found})


def functions(header):
    """Return the names of the functions that the header declares: a name and a parenthesis after a type."""
    text = re.sub(r"/\*.*?\*/|//[^\n]*", "", header.read_text(encoding="utf-8"), flags=re.DOTALL)
    text = re.sub(r"^[ \t]*#(?:.*\\\n)*.*$", "", text, flags=re.MULTILINE)
    return sorted(set(re.findall(r"^(?!typedef\b)[a-z][\w \t*]*?[ *](weir_\w+)\(", text, re.MULTILINE)))
