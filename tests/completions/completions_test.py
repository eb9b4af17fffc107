#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What Tab offers in bash, with a weir that answers --help like the real one, and with the real one. Prints TAP.

fish is asked too, and zsh reads its script, where these shells are installed.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from tap import Tap, complaints_of, run

ROOT = Path(os.environ.get("WEIR_SOURCE", Path(__file__).resolve().parents[2]))
WEIR = Path(os.environ.get("WEIR_BIN", ROOT / "build" / "weir"))
COMPLETIONS = ROOT / "completions"

PRETENDED = r"""#!/bin/sh
case $* in
"--help --color never") cat <<'END'
Usage: weir COMMAND [OPTIONS]

Commands:
  run             record a script
  runs            what ran
  serve           the same over HTTP

Options:
      --color WHEN        colours
  -h, --help              this text

Examples:
  weir run -- ls
END
;;
"runs --help --color never") printf 'Commands:\n  list            a list\n  show            one\n\nOptions:\n  -h, --help\n' ;;
"run --help --color never" | "runs show --help --color never")
    printf 'Usage: weir run\n\nOptions:\n  -s, --storage DIR       where runs are kept\n      --name NAME         its name\n      --color WHEN\n' ;;
*) echo "unexpected: $*" >&2; exit 2 ;;
esac
"""

# (words, what Tab must offer)
CASES = [
    (["weir", ""], ["run", "runs", "serve"]),
    (["weir", "ru"], ["run", "runs"]),
    (["weir", "help", "s"], ["serve"]),
    (["weir", "--c"], ["--color"]),
    (["weir", "runs", ""], ["list", "show"]),
    (["weir", "run", "-"], ["-s", "--storage", "--name", "--color"]),
    (["weir", "run", "--storage", ""], ["inner"]),
    (["weir", "run", "-s", "in"], ["inner"]),
    (["weir", "run", "--color", "a"], ["auto", "always"]),
    (["weir", "run", "--name", ""], []),
    (["weir", "runs", "show", "3f2a", "--co"], ["--color"]),
    (["weir", "run", "--", "./scr"], ["./script.sh"]),
]


def tab(words, directory, path):
    """Return what the bash completion offers for the last word."""
    quoted = " ".join(f"'{word}'" for word in words)
    program = (f"source '{COMPLETIONS}/weir.bash'\nCOMP_WORDS=({quoted})\nCOMP_CWORD={len(words) - 1}\n_weir\n"
               'printf "%s\\n" "${COMPREPLY[@]}"\n')
    done = run(["bash", "--norc", "-c", program], cwd=directory, env=dict(os.environ, PATH=f"{path}:{os.environ['PATH']}"))
    return [line for line in done.stdout.splitlines() if line], done.stderr


def check_cases(directory):
    problems = []
    for words, wanted in CASES:
        got, complaint = tab(words, directory / "work", directory / "bin")
        if sorted(set(got)) != sorted(wanted) or complaint:
            problems.append(f"{words}: wanted {wanted}, got {got} {complaint}")
    return problems


def check_fish(directory):
    """Ask fish about the cases that need no value of an option."""
    problems = []
    for words, wanted in CASES:
        if words[-2].startswith("-"):
            continue
        command = f"source {COMPLETIONS}/weir.fish; complete -C '{' '.join(words)}'"
        env = dict(os.environ, PATH=f"{directory / 'bin'}:{os.environ['PATH']}", HOME=str(directory))
        done = run(["fish", "--no-config", "-c", command], cwd=directory / "work", env=env)
        got = {line.split("\t")[0] for line in done.stdout.splitlines()}
        missing = [word for word in wanted if word not in got and not (len(word) == 2 and word[0] == "-")]
        if missing or done.stderr:
            problems.append(f"{words}: {missing} are missing in {sorted(got)} {done.stderr}")
    return problems


def offers(words, directory, problems):
    """What Tab offers for the real weir; nothing at all is a problem."""
    got, complaint = tab(words, directory / "work", WEIR.parent)
    if not got or complaint:
        problems.append(f"{words}: got {got} {complaint}")
    return [word for word in got if word != "help"]


def check_real(directory):
    """Follow the commands of the real weir: each that Tab offers has a --help whose options Tab offers too."""
    problems, paths = [], [[]]
    for path in paths:
        help_text = run([str(WEIR), *path, "--help"]).stdout
        if "Usage:" not in help_text:
            problems.append(f"weir {' '.join(path)} --help says {help_text!r}")
        elif "\nCommands:\n" in help_text:
            paths += [[*path, word] for word in offers(["weir", *path, ""], directory, problems)]
        if "--help" not in offers(["weir", *path, "--"], directory, problems):
            problems.append(f"Tab behind weir {' '.join(path)} -- does not offer --help")
    return problems + ([] if ["version"] in paths else [f"Tab behind weir does not offer version, only {paths}"])


def prepare(directory):
    for name in ("bin", "work", "work/inner"):
        (directory / name).mkdir()
    (directory / "work" / "script.sh").touch()
    program = directory / "bin" / "weir"
    program.write_text(PRETENDED, encoding="utf-8")
    program.chmod(0o755)


def main():
    tap = Tap()
    with tempfile.TemporaryDirectory(prefix="weir-completions-") as directory:
        prepare(Path(directory))
        tap.result("what Tab offers", check_cases(Path(directory)))
        skip = None if WEIR.exists() else "the command is not built"
        tap.result("Tab knows the real command", [] if skip else check_real(Path(directory)), skip=skip)
        skip = None if shutil.which("fish") else "fish is not installed"
        tap.result("what Tab offers in fish", [] if skip else check_fish(Path(directory)), skip=skip)
    skip = None if shutil.which("zsh") else "zsh is not installed"
    tap.result("zsh reads _weir", [] if skip else complaints_of(["zsh", "-n", str(COMPLETIONS / "_weir")]), skip=skip)
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
